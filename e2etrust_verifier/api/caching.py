# SPDX-License-Identifier: Apache-2.0
"""Entity tags, and what caches between this service and its callers may do: nothing for others.

RFC 9111, 3.5 keeps shared caches from answers to requests with Authorization; of keystone's
X-Auth-Token, which stands in its place here, they know nothing.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

import falcon
from sqlalchemy.orm import Session

from e2etrust_core import wire
from e2etrust_verifier.api.errors import Changed
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
    return has(req, resp, tag)


def tell(req: falcon.Request, resp: falcon.Response, told: Any) -> None:
    """Answer *told* under a tag of its content; with 304, where the caller has just that."""
    resp.etag = tag = content_tag(told)
    if not has(req, resp, tag):
        resp.media = wire.to_dict(told)


def content_tag(told: Any) -> str:
    """Return a strong tag: the same as long as every byte of the answer is."""
    return hashlib.sha256(wire.to_json(told)).hexdigest()[:32]


def require_match(req: falcon.Request, now: Any | None) -> None:
    """Refuse a change of what is not *now* what If-Match names (RFC 9110, 13.1.1).

    :param now: as :func:`tell` would answer it; None: it is not there.
    :raises Changed: it is another, or If-Match names nothing that can be read.
    """
    if now is None or not any(_names(one, content_tag(now)) for one in req.if_match or ()):
        raise Changed("it is not what If-Match names any more, and was left as it is")


def _names(seen: falcon.ETag | str, tag: str) -> bool:
    if not isinstance(seen, falcon.ETag):
        return True  # *: whatever it is
    return seen == tag and not seen.is_weak


def has(req: falcon.Request, resp: falcon.Response, tag: str) -> bool:
    """Say whether the caller has what is under *tag* already (If-None-Match), with 304."""
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
