# SPDX-License-Identifier: Apache-2.0
"""``/v1/inventory``: which TPM operators expect under which host name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import falcon

from e2etrust_core import wire
from e2etrust_verifier.api import answers, paging
from e2etrust_verifier.api.access import Access, caller
from e2etrust_verifier.api.caching import content_tag, require_match, tell
from e2etrust_verifier.api.errors import Conflict, NotFound
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.policies import inventory as rules
from e2etrust_verifier.trust import inventory
from e2etrust_verifier.trust.errors import HostKnown, HostNotExpected

_MAX_BODY = 4096


@dataclass(frozen=True)
class Inventory:
    """By host name; ``?limit=`` and ``?marker=`` (a name)."""

    database: Database
    access: Access

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        self.access.require(req, rules.LIST)
        limit, after = paging.limit(req), req.get_param("marker")
        found = inventory.listed(self.database, after, limit)
        more = paging.next_link(req, found[-1].host) if len(found) == limit else []
        tell(req, resp, answers.Inventory([_told(one) for one in found], more))


@dataclass(frozen=True)
class ExpectedHost:
    """Changed only where it is what ``If-Match`` names, if the caller says so."""

    database: Database
    access: Access

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        self.access.require(req, rules.SHOW)
        try:
            found = inventory.of_host(self.database, name)
        except HostNotExpected as exc:
            raise NotFound(exc.reason, code=exc.code, remedy=exc.remedy) from None
        tell(req, resp, _told(found))

    def on_put(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Let TPMs with these endorsement keys, and no others, enrol under that name."""
        self.access.require(req, rules.PUT)
        asked = wire.from_json(
            answers.Expectation, req.bounded_stream.read(_MAX_BODY + 1), _MAX_BODY
        )
        now, by = datetime.now(UTC), str(caller(req).user_id)
        try:
            found = inventory.expect(
                self.database,
                name,
                asked.ek_sha256,
                now,
                by,
                replace=asked.replace,
                provided=_provided(req),
            )
        except HostKnown as exc:
            raise Conflict(exc.reason, code=exc.code, remedy=exc.remedy) from None
        told = _told(found)
        resp.etag, resp.media = content_tag(told), wire.to_dict(told)

    def on_delete(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        self.access.require(req, rules.REMOVE)
        try:
            now, by = datetime.now(UTC), str(caller(req).user_id)
            inventory.unexpect(self.database, name, now, by, provided=_provided(req))
        except HostNotExpected as exc:
            raise NotFound(exc.reason, code=exc.code, remedy=exc.remedy) from None
        resp.status = falcon.HTTP_204


def _provided(req: falcon.Request) -> inventory.Provided | None:
    if req.get_header("If-Match") is None:
        return None
    return lambda now: require_match(req, None if now is None else _told(now))


def _told(found: inventory.Expected) -> answers.Expected:
    return answers.Expected(
        found.host, found.ek_sha256, found.since.isoformat(), found.by, found.enrolled
    )
