# SPDX-License-Identifier: Apache-2.0
"""What caches between this service and its callers may do with an answer: nothing for others.

RFC 9111, 3.5 keeps shared caches from answers to requests with Authorization; of keystone's
X-Auth-Token, which stands in its place here, they know nothing.
"""

from __future__ import annotations

import falcon

_PUBLIC = "/dashboard"


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
