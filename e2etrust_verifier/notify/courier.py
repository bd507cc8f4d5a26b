# SPDX-License-Identifier: Apache-2.0
"""Who delivers: one thread hands the outbox out, one for each destination tells.

Any number of workers do so beside each other.  What a worker claimed and did not tell is free
again when its claim is over, so everything is told at least once.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from e2etrust_verifier.db import events, outbox
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.db.models import Outbox
from e2etrust_verifier.notify import kinds
from e2etrust_verifier.notify.destination import DeliveryFailed, DeliveryRefused, Destination
from e2etrust_verifier.notify.notice import Notice
from e2etrust_verifier.round import Round

LOG = logging.getLogger(__name__)

_AT_ONCE = 10
_HANDED_OUT_AT_ONCE = 100
#: Seconds beyond the time its tries may take that a claim holds.
_SPARE = 30.0


class Sorter:
    """Hands out what was written, to the destinations of this worker's configuration.

    Without any it still empties the outbox: nobody asked to be told.
    """

    def __init__(
        self, database: Database, destinations: list[Destination], now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._unwanted = {one.name: one.unwanted for one in destinations}
        self._now = now

    def once(self) -> bool:
        """Hand out once; True where there may be more."""
        taken = self._database.write(
            lambda s: outbox.hand_out(s, self._unwanted, self._now(), _HANDED_OUT_AT_ONCE)
        )
        return taken == _HANDED_OUT_AT_ONCE


class Courier:
    """Delivers to one destination."""

    def __init__(
        self, database: Database, destination: Destination, now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._destination = destination
        self._now = now
        self._holder = uuid.uuid4().hex

    def once(self) -> bool:
        """Claim some of what is due and tell it; True where there may be more."""
        now = self._now()
        longest = self._destination.timeout * _AT_ONCE + _SPARE
        until, name = now + timedelta(seconds=longest), self._destination.name
        found = self._database.write(
            lambda s: outbox.claim(s, name, self._holder, now, until, _AT_ONCE)
        )
        for row in found:
            if self._now() + timedelta(seconds=self._destination.timeout) >= until:
                break  # too slow: the claim is nearly over, and others take what is left
            self._tell(row)
        return len(found) == _AT_ONCE

    def _tell(self, row: Outbox) -> None:
        try:
            self._destination.deliver(_notice(row), kinds.kind(row.kind).priority)
        except DeliveryFailed as exc:
            self._failed(row, exc)
        else:
            self._database.write(lambda s: outbox.forget(s, row.id, self._holder))

    def _failed(self, row: Outbox, exc: DeliveryFailed) -> None:
        attempts, patience = row.attempts + 1, self._destination.patience
        over = patience.attempts is not None and attempts >= patience.attempts
        if over or isinstance(exc, DeliveryRefused):
            self._database.write(lambda s: self._give_up(s, row, exc, attempts))
            return
        now = self._now()
        due = now + timedelta(seconds=patience.pause(attempts))
        LOG.warning("%s: %s, try %d; again %s", self._destination.name, exc, attempts, due)
        self._database.write(lambda s: outbox.put_back(s, row.id, self._holder, now, due, attempts))

    def _give_up(self, session: Session, row: Outbox, exc: DeliveryFailed, attempts: int) -> None:
        if not outbox.forget(session, row.id, self._holder):
            return
        told = f"{row.kind} {row.number} was not told to {self._destination.name}"
        message = f"{told} in {attempts} tries: {exc.reason}"
        events.add(
            session,
            "delivery-failed",
            message,
            now=self._now(),
            host=row.host,
            instance=row.instance,
            codes=(exc.code,),
        )


def _notice(row: Outbox) -> Notice:
    return Notice(
        id=row.number,
        type=kinds.kind(row.kind).type,
        at=row.at.isoformat(),
        message=row.message,
        host=row.host,
        instance=row.instance,
        codes=row.codes.split(),
    )


def rounds(
    database: Database,
    destinations: list[Destination],
    now: Callable[[], datetime],
    interval: float,
) -> list[Round]:
    """Return the threads that tell, not started."""
    made = [Round("outbox", Sorter(database, destinations, now).once, interval)]
    for one in destinations:
        made.append(Round(one.name, Courier(database, one, now).once, interval))
    return made
