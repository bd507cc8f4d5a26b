# SPDX-License-Identifier: Apache-2.0
"""``/v1/hosts/{name}/result``: the host's attestation result as a signed token (EAR)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import falcon
from sqlalchemy.orm import Session

from e2etrust_core.appraisal.result_token import MEDIA_TYPE, ResultOfHost
from e2etrust_verifier.api.access import Access
from e2etrust_verifier.api.hosts import unknown_host
from e2etrust_verifier.db import hosts
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.db.models import Host
from e2etrust_verifier.policies import hosts as rules
from e2etrust_verifier.trust import results


@dataclass(frozen=True)
class Result:
    database: Database
    access: Access
    issuer: results.ResultIssuer

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        self.access.require(req, rules.RESULT)
        now = datetime.now(UTC)

        def work(session: Session) -> tuple[Host, ResultOfHost] | None:
            host = hosts.find(session, name)
            return None if host is None else (host, results.result_of(session, host, now))

        found = self.database.read(work)
        if found is None:
            raise unknown_host()
        resp.content_type = MEDIA_TYPE
        resp.text = self.issuer.issue(*found)
        # A result that is kept by something on the way says what was, not what is.
        resp.cache_control = ["no-store"]
