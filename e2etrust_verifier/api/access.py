# SPDX-License-Identifier: Apache-2.0
"""Who is asking, as keystonemiddleware established it, and whether policy allows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import falcon
from oslo_context import context
from oslo_policy import policy

from e2etrust_verifier.api.errors import Forbidden, Unauthenticated


@dataclass(frozen=True)
class Access:
    """The policy as one question: may this request do that?"""

    enforcer: policy.Enforcer

    def require(self, req: falcon.Request, rule: str, project_id: str | None = None) -> None:
        """Return only if the caller may do *rule* to what belongs to *project_id*.

        :raises Unauthenticated: no valid token.
        :raises Forbidden: the policy does not allow it.
        """
        if not self.allowed(req, rule, project_id):
            raise Forbidden(f"policy does not allow {rule}")

    def allowed(self, req: falcon.Request, rule: str, project_id: str | None = None) -> bool:
        """Whether :meth:`require` would return.  Raises Unauthenticated without a token."""
        # No project is no target: "project_id:None" would match a token without a project.
        target: dict[str, Any] = {} if project_id is None else {"project_id": project_id}
        return bool(self.enforcer.authorize(rule, target, caller(req)))


def caller(req: falcon.Request) -> context.RequestContext:
    """Return who is asking.

    :raises Unauthenticated: the request carries no token that keystone confirmed.
    """
    if req.env.get("HTTP_X_IDENTITY_STATUS") != "Confirmed":
        raise Unauthenticated("the request has no valid token")
    return context.RequestContext.from_environ(req.env)
