# SPDX-License-Identifier: Apache-2.0
"""What has to happen without anybody asking: leases end, nonces go, old rows are pruned."""

from __future__ import annotations

import time
from collections import Counter
from datetime import timedelta

from sqlalchemy.orm import Session

from e2etrust_verifier.db import (
    challenge_keys,
    challenges,
    enrolments,
    events,
    launches,
    outbox,
    verdicts,
    workers,
)
from e2etrust_verifier.db import leases as lease_rows
from e2etrust_verifier.trust import leases
from e2etrust_verifier.trust.challenge_keys import DRAWS_FOR
from e2etrust_verifier.trust.closed_nonces import ClosedNonces
from e2etrust_verifier.trust.surroundings import Surroundings

_PRUNE_EVERY = 60.0
_LEASES_KEPT = timedelta(days=1)


class Housekeeper:
    """Several workers may each have one, they do not disturb each other."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._closed = ClosedNonces(around)
        self._pruned_at = float("-inf")

    def once(self) -> bool:
        """End leases that ran out, and prune at times; never more to be done at once."""
        leases.sweep(self._around)
        if time.monotonic() - self._pruned_at >= _PRUNE_EVERY:
            self._closed.advance()
            prune(self._around)
            self._pruned_at = time.monotonic()
        return False


def prune(around: Surroundings) -> None:
    """Delete what ran out and what is beyond the numbers kept."""
    now, settings = around.now(), around.settings

    def work(session: Session) -> None:
        challenges.forget_expired(session, now)
        lifetime = timedelta(seconds=settings.nonce_lifetime)
        challenge_keys.forget_made_before(session, now - DRAWS_FOR - 2 * lifetime)
        enrolments.forget_expired(session, now)
        lease_rows.forget_ended_before(session, now - _LEASES_KEPT)
        verdicts.keep_newest(session, settings.verdicts_kept)
        launches.keep_newest(session, settings.launches_kept)
        workers.forget_gone(session, now)
        _drop_untold(session, around)
        events.keep_newest(session, settings.events_kept)

    around.db.write(work)


def _drop_untold(session: Session, around: Surroundings) -> None:
    """Keep the outbox bounded; what is dropped is said."""
    now, settings = around.now(), around.settings
    old = now - timedelta(seconds=settings.outbox_longest_wait)
    dropped = Counter(outbox.forget_older(session, old))
    dropped.update(outbox.keep_newest(session, settings.outbox_kept))
    if dropped:
        told = ", ".join(f"{number} of {kind}" for kind, number in sorted(dropped.items()))
        message = f"nobody could be told in time, the oldest were dropped: {told}"
        events.add(session, "outbox-dropped", message, now=now)
