# SPDX-License-Identifier: Apache-2.0
"""``/v1/events``: what happened, newest first; by ``?host=`` and ``?kind=``, in pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import falcon

from e2etrust_verifier.api import paging
from e2etrust_verifier.api.access import Access
from e2etrust_verifier.db import events
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.policies import events as rules


@dataclass(frozen=True)
class Events:
    database: Database
    access: Access

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        self.access.require(req, rules.LIST)
        limit = paging.limit(req, 50)
        before = req.get_param_as_int("marker", min_value=1)
        kind, host = req.get_param("kind"), req.get_param("host")
        found = self.database.read(lambda s: events.newest(s, limit, kind, host, before))
        answer: dict[str, Any] = {
            "events": [
                {
                    "id": e.id,
                    "at": e.at.isoformat(),
                    "kind": e.kind,
                    "host": e.host,
                    "instance": e.instance,
                    "message": e.message,
                }
                for e in found
            ]
        }
        if len(found) == limit:
            answer["events_links"] = paging.next_link(req, str(found[-1].id))
        resp.media = answer
