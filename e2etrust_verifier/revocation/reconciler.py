# SPDX-License-Identifier: Apache-2.0
"""Nova's services kept in step with trust, by one worker at a time.

It goes by how hosts stand, not by single events: what a dead worker left undone is done by the
next one.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from e2etrust_verifier.db import duties, events, revocations
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.revocation import fleet
from e2etrust_verifier.revocation.acting import Acting
from e2etrust_verifier.revocation.nova import Nova
from e2etrust_verifier.revocation.rule import Plan, Rule, plan

DUTY = "revocation"
#: Seconds that the duty is held at a time: longer than one host takes.
_HELD = 300.0


class Reconciler:
    def __init__(
        self, database: Database, nova: Nova, rule: Rule, now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._rule = rule
        self._now = now
        self._acting = Acting(database, nova, rule, now)
        self._holder = uuid.uuid4().hex

    def once(self) -> bool:
        """Compare once and act; never more to be done at once."""
        if not self._hold():
            return False
        now = self._now()
        found = self._database.read(lambda s: fleet.look(s, self._rule, now))
        decided = plan(self._rule, found.suspects, found.fleet, now)
        self._tell_brake(decided)
        for suspect in decided.act:
            if self._hold():
                self._acting.begin(suspect)
        # The brake also stops what was begun and is not at its end, as an evacuation.
        for host in [] if decided.braked else found.undone:
            if host not in decided.release and self._hold():
                self._acting.go_on(host)
        for host in decided.release:
            if self._hold():
                self._acting.release(host)
        self._database.write(revocations.forget_unknown_hosts)
        return False

    def _hold(self) -> bool:
        now = self._now()
        until = now + timedelta(seconds=_HELD)
        return self._database.write(lambda s: duties.take(s, DUTY, self._holder, now, until))

    def _tell_brake(self, decided: Plan) -> None:
        def work(session: Session) -> None:
            was = revocations.braked(session)
            now = self._now()
            if decided.braked and not was:
                told = f"{decided.braked}; nothing is done until somebody looked"
                events.add(session, "revocation-braked", told, now=now)
            elif was and not decided.braked:
                told = "the hosts that are due are within the limits again"
                events.add(session, "revocation-released", told, now=now)

        self._database.write(work)
