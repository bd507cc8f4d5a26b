# SPDX-License-Identifier: Apache-2.0
"""``/v1/events``: what happened, newest first."""

from __future__ import annotations

from dataclasses import dataclass

import falcon

from e2etrust_verifier.api.access import Access
from e2etrust_verifier.db import events
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.policies import events as rules

MOST = 1000


@dataclass(frozen=True)
class Events:
    database: Database
    access: Access

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        self.access.require(req, rules.LIST)
        limit = req.get_param_as_int("limit", min_value=1, max_value=MOST, default=50)
        kind, host = req.get_param("kind"), req.get_param("host")
        found = self.database.read(lambda s: events.newest(s, limit, kind, host))
        resp.media = {
            "events": [
                {
                    "at": e.at.isoformat(),
                    "kind": e.kind,
                    "host": e.host,
                    "instance": e.instance,
                    "message": e.message,
                }
                for e in found
            ]
        }
