# SPDX-License-Identifier: Apache-2.0
"""What is done to one host: each step is written down before it is done.

A worker that dies between the two leaves a note that says more than was done; the next worker
looks at Nova and goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from e2etrust_core.errors import E2ETrustError
from e2etrust_verifier.db import events, revocations
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.db.models import Revocation
from e2etrust_verifier.revocation.nova import ComputeService, Nova, NovaError, NovaRefused
from e2etrust_verifier.revocation.rule import Rule, Suspect

LOG = logging.getLogger(__name__)

#: What Nova shows as the reason begins so.
MARK = "e2etrust: "
#: How long servers are asked for again that Nova does not evacuate as they are.
_PATIENCE = timedelta(hours=1)


class HostIsUp(E2ETrustError):
    """A host has to be down before its servers can be evacuated."""

    code = "NOVA_HOST_UP"
    remedy = "fence it (power it off); then its evacuation goes on by itself"


@dataclass(frozen=True, slots=True)
class _Evacuation:
    """``asked``: ids of the servers that Nova evacuates; asked again, it would begin once more."""

    began: datetime
    asked: set[str] = field(default_factory=set)


class Acting:
    """Carries out what the rule asks, host by host.  Every method may be called again."""

    def __init__(
        self, database: Database, nova: Nova, rule: Rule, now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._nova = nova
        self._rule = rule
        self._now = now
        #: By host, and the moment since when it is acted on.
        self._evacuations: dict[tuple[str, datetime], _Evacuation] = {}

    def begin(self, suspect: Suspect) -> None:
        """Note that *suspect* is acted on, then act.

        A service that somebody else has disabled is left as it is, now and later.
        """
        try:
            service = self._nova.service(suspect.host)
        except NovaError as exc:
            # Noted as well: it counts, and is tried again.
            self._write(self._row(suspect, disabled=True))
            self._note_problem(suspect.host, exc)
            return
        self._write(self._row(suspect, disabled=service.enabled))
        self.go_on(suspect.host)

    def go_on(self, host: str) -> None:
        """Do what is left to be done to a host that was begun with."""
        row = self._database.read(lambda s: revocations.find(s, host))
        if row is None or row.done:
            return
        try:
            service = self._nova.service(host)
            if service.enabled and (row.disabled_at or not row.disabled):
                self._overruled(host)
                return
            self._disable(row, service)
            if self._rule.action == "evacuate" and not self._evacuate(row, service):
                return
        except E2ETrustError as exc:
            self._note_problem(host, exc)
        else:
            self._database.write(lambda s: revocations.done(s, host))

    def release(self, host: str) -> None:
        """Take back what was ours to do to a host that is trusted again, where the rule says so."""
        row = self._database.read(lambda s: revocations.find(s, host))
        if row is None:
            return
        try:
            enabled = self._rule.reenable and self._take_back(row)
        except E2ETrustError as exc:
            self._note_problem(host, exc)
            return
        self._evacuations.pop((host, row.acted_at), None)

        def work(session: Session) -> None:
            revocations.forget(session, host)
            if enabled:
                told = "the host is trusted again, its compute service is enabled"
                events.add(session, "service-enabled", told, now=self._now(), host=host)

        self._database.write(work)

    def _row(self, suspect: Suspect, *, disabled: bool) -> Revocation:
        since = suspect.since.isoformat(timespec="seconds")
        return Revocation(
            host=suspect.host,
            acted_at=self._now(),
            reason=f"{MARK}{suspect.code}, not trusted since {since}",
            disabled=disabled,
            forced_down=False,
            done=False,
            problem="",
        )

    def _write(self, row: Revocation) -> None:
        host, reason = row.host, row.reason
        told = f"its compute service is taken out of use: {reason.removeprefix(MARK)}"
        if not row.disabled:
            told = "its compute service was disabled by somebody else and stays so"

        def work(session: Session) -> None:
            session.merge(row)
            events.add(session, "service-disabled", told, now=self._now(), host=host)

        self._database.write(work)

    def _disable(self, row: Revocation, service: ComputeService) -> None:
        if not row.disabled:
            return
        if service.enabled:
            self._nova.disable(service, row.reason)
            LOG.warning("nova-compute on %s is disabled: %s", row.host, row.reason)
        elif service.disabled_reason != row.reason:
            # Somebody else was faster, and it is theirs.
            self._database.write(lambda s: revocations.not_ours(s, row.host))
            return
        if row.disabled_at is None:
            self._database.write(lambda s: revocations.disabled(s, row.host, self._now()))

    def _overruled(self, host: str) -> None:
        """Leave alone a host whose service was disabled and is enabled: an operator's hand wins."""
        told = (
            "somebody enabled its compute service, which stays so: nothing more is done to the host"
            " until it was trusted once"
        )

        def work(session: Session) -> None:
            revocations.overruled(session, host)
            events.add(session, "revocation-overruled", told, now=self._now(), host=host)

        self._database.write(work)

    def _evacuate(self, row: Revocation, service: ComputeService) -> bool:
        """Return whether nothing is left to be asked for."""
        if service.up:
            if not self._rule.force_down:
                raise HostIsUp(f"nova-compute on {row.host} is up: nothing is evacuated")
            self._database.write(lambda s: revocations.forced_down(s, row.host))
            self._nova.force_down(service, True)
        servers, key = self._nova.servers_on(row.host), (row.host, row.acted_at)
        first = key not in self._evacuations
        known = self._evacuations.setdefault(key, _Evacuation(self._now()))
        asked = waiting = 0
        refused: list[NovaRefused] = []
        for server in servers:
            if server in known.asked:
                continue
            try:
                taken = self._nova.evacuate(server)
            except NovaRefused as exc:
                refused.append(exc)  # of one: the others must not wait for it
                continue
            except NovaError:
                if asked:
                    self._tell_evacuated(row.host, asked, waiting, over=False)
                raise
            if taken:
                known.asked.add(server)
            asked, waiting = asked + taken, waiting + (not taken)
        over = self._now() - known.began >= _PATIENCE
        if asked or ((first or over) and not refused):
            self._tell_evacuated(row.host, asked, waiting, over=over)
        if refused:
            raise refused[0]
        return over or not waiting

    def _tell_evacuated(self, host: str, asked: int, waiting: int, *, over: bool) -> None:
        told = f"Nova was asked to build {asked} servers anew elsewhere"
        if waiting:
            end = "stay" if over else "are asked for again"
            told += f"; {waiting} are in a state that it evacuates none from, and {end}"
        self._database.write(
            lambda s: events.add(s, "service-evacuated", told, now=self._now(), host=host)
        )

    def _take_back(self, row: Revocation) -> bool:
        service = self._nova.service(row.host)
        if row.disabled and not service.enabled and service.disabled_reason != row.reason:
            return False  # somebody has taken it over since then, as it is
        if row.forced_down and service.forced_down:
            self._nova.force_down(service, False)
        if not row.disabled or service.enabled:
            return False
        self._nova.enable(service)
        return True

    def _note_problem(self, host: str, exc: E2ETrustError) -> None:
        told, code = exc.with_remedy(), exc.code
        LOG.warning("revocation of %s: %s", host, told)

        def work(session: Session) -> None:
            if revocations.problem(session, host, told):
                events.add(
                    session, "revocation-failed", told, now=self._now(), host=host, codes=(code,)
                )

        self._database.write(work)
