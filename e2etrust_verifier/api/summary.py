# SPDX-License-Identifier: Apache-2.0
"""``/v1/summary``: the fleet in numbers, without a list of hosts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import falcon

from e2etrust_core import wire
from e2etrust_verifier.api import answers
from e2etrust_verifier.api.access import Access
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.policies import fleet as rules
from e2etrust_verifier.trust import fleet


@dataclass(frozen=True)
class Summary:
    database: Database
    access: Access

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        self.access.require(req, rules.SUMMARY)
        now = datetime.now(UTC)
        found = self.database.read(lambda s: fleet.measure(s, now))
        told = answers.Summary(
            at=now.isoformat(),
            hosts=found.by_state,
            oldest_attestation=_told(found.oldest_attestation),
            last_verdict=_told(found.last_verdict),
            started_servers=found.started_servers,
            workers=found.workers,
        )
        resp.media = wire.to_dict(told)


def _told(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
