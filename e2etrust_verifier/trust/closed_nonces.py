# SPDX-License-Identifier: Apache-2.0
"""Answers are forgotten, and no clock that is set back brings a nonce to life again.

First every key is closed up to a moment (:class:`e2etrust_verifier.db.models.ChallengeKey`), and
answers to what ran out by then are forgotten when every worker has read that: counted by the
monotonic clock, which nobody sets.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from e2etrust_verifier.db import answers, challenge_keys
from e2etrust_verifier.db.leases import CLOCKS_AGREE
from e2etrust_verifier.trust.challenge_keys import KNOWN_WITHIN
from e2etrust_verifier.trust.surroundings import Surroundings


class ClosedNonces:
    """What this worker closed last.  Several workers may each have one."""

    def __init__(self, around: Surroundings, monotonic: Callable[[], float] = time.monotonic):
        self._around = around
        self._monotonic = monotonic
        self._until: datetime | None = None
        self._known_at = 0.0

    def advance(self) -> None:
        """Forget answers to what was closed long enough ago, and close what ran out since."""
        if self._monotonic() < self._known_at:
            return
        # Another worker's clock may be a little behind: what it just drew stays open.
        old, new = self._until, self._around.now() - CLOCKS_AGREE
        if old is not None:
            self._around.db.write(lambda s: answers.forget_expired(s, old))
        self._around.db.write(lambda s: challenge_keys.close_until(s, new))
        self._until, self._known_at = new, self._monotonic() + 2 * KNOWN_WITHIN
