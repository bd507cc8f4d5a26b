# SPDX-License-Identifier: Apache-2.0
"""``/v1/summary``: the fleet in numbers, and why hosts are red for who may list them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import falcon
from sqlalchemy.orm import Session

from e2etrust_core import wire
from e2etrust_verifier.api import answers
from e2etrust_verifier.api.access import Access
from e2etrust_verifier.api.caching import fleet_tag, is_known
from e2etrust_verifier.db import launches, workers
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.policies import fleet as rules
from e2etrust_verifier.policies import hosts as host_rules
from e2etrust_verifier.trust import fleet


@dataclass(frozen=True)
class Summary:
    database: Database
    access: Access

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        self.access.require(req, rules.SUMMARY)
        now = datetime.now(UTC)
        # A reason names a host, and what it failed.
        why = self.access.allowed(req, host_rules.LIST)
        tag = self.database.read(lambda s: _tag(s, now))
        if tag is None or not is_known(req, resp, f"{tag}-{int(why)}"):
            resp.media = wire.to_dict(self.database.read(lambda s: _summary(s, now, why=why)))


def _tag(session: Session, now: datetime) -> str | None:
    of_hosts = fleet_tag(session, now)
    if of_hosts is None:
        return None
    return f"{of_hosts}-{launches.count_started(session)}-{workers.count_alive(session, now)}"


def _summary(session: Session, now: datetime, *, why: bool) -> answers.Summary:
    found = fleet.measure(session, now)
    return answers.Summary(
        at=now.isoformat(),
        hosts=found.by_state,
        oldest_attestation=_told(found.oldest_attestation),
        last_verdict=_told(found.last_verdict),
        started_servers=found.started_servers,
        workers=found.workers,
        reasons=[_reason(one) for one in fleet.reasons(session, found)] if why else [],
    )


def _reason(found: fleet.Reason) -> answers.Reason:
    return answers.Reason(
        code=found.code,
        policy=found.policy,
        hosts=found.hosts,
        held=found.held,
        since=found.since.isoformat(),
        latest=found.latest.isoformat(),
        example=found.example,
        check=found.check,
    )


def _told(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
