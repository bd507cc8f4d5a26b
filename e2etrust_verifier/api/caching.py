# SPDX-License-Identifier: Apache-2.0
"""What caches between this service and its callers may do with an answer: nothing for others.

RFC 9111, 3.5 keeps shared caches from answers to requests with Authorization; of keystone's
X-Auth-Token, which stands in its place here, they know nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import falcon
from sqlalchemy.orm import Session

from e2etrust_verifier.db import hosts, workers

#: Each worker says so twice as often.
_LATELY = timedelta(seconds=2 * workers.EVERY)
_PUBLIC = "/dashboard"


def is_known(req: falcon.Request, resp: falcon.Response, tag: str) -> bool:
    """Tag the answer, and say whether the caller has it already (304): then it needs no body.

    Weak (RFC 9110, 8.8.1): seconds of leases and moments of attestations run on while hosts stand
    as they did.
    """
    resp.etag = f'W/"{tag}"'
    if not any(known == tag for known in req.if_none_match or ()):
        return False
    resp.status = falcon.HTTP_304
    return True


def fleet_tag(session: Session, now: datetime) -> str | None:
    """Return what stays the same while every host stands as it did: the number of the last change.

    None where no worker said lately that it works: then nobody notes that leases run out.
    """
    seen = workers.newest_moment(session)
    if seen is None or now - seen > _LATELY:
        return None
    return str(hosts.counter(session)[1])


class NotShared:
    """Middleware; a resource that says more about caching by itself is left its word."""

    def process_response(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        _resource: object,
        _succeeded: bool,  # noqa: FBT001 - falcon's signature
    ) -> None:
        resp.set_header("X-Content-Type-Options", "nosniff")
        if req.path.startswith(_PUBLIC):
            return
        resp.append_header("Vary", "X-Auth-Token")
        if resp.get_header("Cache-Control") is None:
            # Kept by the caller itself it is asked for anew by its tag.
            resp.set_header("Cache-Control", "private, no-cache")
