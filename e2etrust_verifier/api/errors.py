# SPDX-License-Identifier: Apache-2.0
"""Refusals as HTTP answers: ``{"error": {"code", "reason", "remedy"}}`` and a fitting status."""

from __future__ import annotations

import logging
import uuid

import falcon

from e2etrust_core import wire
from e2etrust_core.errors import E2ETrustError, InputError
from e2etrust_core.messages import Refusal
from e2etrust_verifier.db import errors
from e2etrust_verifier.db.group_commit import RETRIED
from e2etrust_verifier.trust.errors import of_database
from e2etrust_verifier.trust.signing_keys import SigningKeyError

LOG = logging.getLogger(__name__)


class ApiError(E2ETrustError):
    """A request that is refused, with its HTTP status."""

    code = "REFUSED"
    remedy = "correct the request; /v1/openapi.json says what it may be"
    status = falcon.HTTP_400


class Unauthenticated(ApiError):
    code = "UNAUTHENTICATED"
    status = falcon.HTTP_401
    remedy = "send a valid keystone token"


class Forbidden(ApiError):
    code = "FORBIDDEN"
    status = falcon.HTTP_403
    remedy = "ask with a role that the operator's policy allows"


class NotFound(ApiError):
    code = "NOT_FOUND"
    remedy = "look for it in the list"
    status = falcon.HTTP_404


class Conflict(ApiError):
    code = "CONFLICT"
    remedy = "ask for the present state, and decide anew"
    status = falcon.HTTP_409


class Changed(ApiError):
    """A change asks for a state (If-Match) that holds no more."""

    code = "CHANGED"
    remedy = "ask for the present state, and decide anew"
    status = falcon.HTTP_412


class AgentUnreachable(ApiError):
    code = "AGENT_DOWN"
    status = falcon.HTTP_504
    remedy = "tell the operator: the host's agent or the message bus does not answer"


def install(app: falcon.App) -> None:
    """Have *app* answer our errors, falcon's own, and what nobody foresaw."""
    app.add_error_handler(Exception, _unforeseen)
    app.add_error_handler(falcon.HTTPError, _falcon)
    app.add_error_handler(E2ETrustError, _ours)
    app.add_error_handler(SigningKeyError, _signing_key)
    for kind in RETRIED:
        app.add_error_handler(kind, _database)


def _ours(_req: falcon.Request, resp: falcon.Response, exc: E2ETrustError, _params: object) -> None:
    if isinstance(exc, ApiError):
        status = exc.status
    elif isinstance(exc, InputError):
        status = falcon.HTTP_400
    else:
        status = falcon.HTTP_409
    _answer(resp, status, Refusal(exc.code, exc.reason, exc.remedy))


def _signing_key(
    _req: falcon.Request, resp: falcon.Response, exc: SigningKeyError, _params: object
) -> None:
    # Which file it is, and what is wrong with it, concerns only who keeps the service.
    LOG.error("request refused: %s", exc)
    refusal = Refusal(exc.code, "the service cannot use its signing key", "tell the operator")
    _answer(resp, falcon.HTTP_503, refusal)


def _database(_req: falcon.Request, resp: falcon.Response, exc: Exception, _params: object) -> None:
    refusal = of_database(exc)
    LOG.error("request refused: %s: %s", refusal.code, errors.cause(exc))
    _answer(resp, falcon.HTTP_503, Refusal(refusal.code, refusal.reason, refusal.remedy))


def _falcon(
    _req: falcon.Request, resp: falcon.Response, exc: falcon.HTTPError, _params: object
) -> None:
    status = str(exc.status)
    _answer(resp, status, Refusal("HTTP", exc.title or status, exc.description or ""))


def _unforeseen(
    _req: falcon.Request, resp: falcon.Response, _exc: Exception, _params: object
) -> None:
    number = uuid.uuid4().hex[:12]
    LOG.exception("request failed in an unforeseen way (%s)", number)
    reason = f"the service failed; its log tells more under {number}"
    _answer(resp, falcon.HTTP_500, Refusal("INTERNAL", reason, "tell the operator that number"))


def _answer(resp: falcon.Response, status: str, refusal: Refusal) -> None:
    resp.status = status
    resp.media = {"error": wire.to_dict(refusal)}
