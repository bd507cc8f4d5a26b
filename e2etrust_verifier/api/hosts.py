# SPDX-License-Identifier: Apache-2.0
"""``/v1/hosts``: who is trusted now, and why not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import falcon
from sqlalchemy.orm import Session

from e2etrust_core import wire
from e2etrust_verifier.api.access import Access
from e2etrust_verifier.api.errors import NotFound
from e2etrust_verifier.db import hosts, verdicts
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.db.models import HostState
from e2etrust_verifier.policies import hosts as rules
from e2etrust_verifier.trust import standing


@dataclass(frozen=True)
class Hosts:
    database: Database
    access: Access

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        self.access.require(req, rules.LIST)
        now = datetime.now(UTC)

        def work(session: Session) -> list[dict[str, Any]]:
            states = hosts.states(session)
            return [
                _host(session, host.name, states.get(host.name), now)
                for host in hosts.everyone(session)
            ]

        resp.media = {"hosts": self.database.read(work)}


@dataclass(frozen=True)
class Host:
    database: Database
    access: Access

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        self.access.require(req, rules.SHOW)
        now = datetime.now(UTC)

        def work(session: Session) -> dict[str, Any] | None:
            if hosts.find(session, name) is None:
                return None
            return _host(session, name, hosts.state(session, name), now)

        found = self.database.read(work)
        if found is None:
            raise NotFound(
                "no such host is enrolled",
                code="HOST_UNKNOWN",
                remedy="start e2etrust-agent on it and look at its log",
            )
        resp.media = found


def _host(session: Session, name: str, state: HostState | None, now: datetime) -> dict[str, Any]:
    checks = verdicts.results(verdicts.last(session, name))
    if state is not None and standing.failed_checks(state) == [standing.UNREADABLE]:
        checks = [standing.UNREADABLE]
    return {
        "name": name,
        "state": _word(state, now),
        "lease_seconds": _left(state, now),
        "since": state.since.isoformat() if state else None,
        "last_attested": state.attested_at.isoformat() if state and state.attested_at else None,
        "reset_count": state.reset_count if state else None,
        "checks": [wire.to_dict(c) for c in checks],
    }


def _left(state: HostState | None, now: datetime) -> float:
    return 0.0 if state is None else standing.seconds_left(state, now)


def _word(state: HostState | None, now: datetime) -> str:
    """Return trusted, held, untrusted (a check failed) or unknown (no fresh evidence)."""
    if _left(state, now) > 0:
        return "trusted"
    if state is None:
        return "unknown"
    if state.held:
        return "held"
    return "untrusted" if standing.failed_checks(state) else "unknown"
