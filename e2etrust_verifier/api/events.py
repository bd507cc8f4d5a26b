# SPDX-License-Identifier: Apache-2.0
"""``/v1/events``: what happened, newest first; by ``?host=`` and ``?kind=``, in pages."""

from __future__ import annotations

from dataclasses import dataclass

import falcon

from e2etrust_verifier.api import answers, paging
from e2etrust_verifier.api.access import Access
from e2etrust_verifier.api.caching import tell
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
        before = paging.before(req)
        kind, host = req.get_param("kind"), req.get_param("host")
        found = self.database.read(lambda s: events.newest(s, limit, kind, host, before))
        more = paging.next_link(req, str(found[-1].id)) if len(found) == limit else []
        listed = [
            answers.Event(e.id, e.at.isoformat(), e.kind, e.host, e.instance, e.message)
            for e in found
        ]
        tell(req, resp, answers.Events(listed, more))
