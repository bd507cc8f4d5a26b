# SPDX-License-Identifier: Apache-2.0
"""What has to happen without anybody asking: leases end, nonces go, old rows are pruned."""

from __future__ import annotations

import logging
import threading
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

LOG = logging.getLogger(__name__)

_PRUNE_EVERY = 60.0
_LEASES_KEPT = timedelta(days=1)


class Housekeeper:
    """A thread; several workers may each have one, they do not disturb each other."""

    def __init__(self, around: Surroundings, interval: float) -> None:
        self._around = around
        self._interval = interval
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        since_pruned = _PRUNE_EVERY
        closed = ClosedNonces(self._around)
        while not self._stopping.wait(self._interval):
            since_pruned += self._interval
            try:
                leases.sweep(self._around)
                if since_pruned >= _PRUNE_EVERY:
                    closed.advance()
                    prune(self._around)
                    since_pruned = 0.0
            except Exception as exc:
                # The database may be away; it is tried again, and nothing is trusted by it.
                LOG.warning("housekeeping: %s: %s", type(exc).__name__, exc)


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
