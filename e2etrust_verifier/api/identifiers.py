# SPDX-License-Identifier: Apache-2.0
"""What a request names, before it is looked for."""

from __future__ import annotations

import itertools
from typing import Any

import falcon

from e2etrust_verifier.api.errors import ApiError


class NoNul:
    """Middleware: PostgreSQL cannot even look for a NUL (U+0000), and nothing of ours has one."""

    def process_resource(
        self, req: falcon.Request, _resp: falcon.Response, _resource: object, params: dict[str, Any]
    ) -> None:
        """:raises ApiError: the path or the query names something with a NUL in it."""
        asked = (req.get_param_as_list(name) or [] for name in req.params)
        named = (str(value) for value in params.values())
        if any("\0" in one for one in itertools.chain(named, *asked)):
            raise ApiError("the request names something with a NUL in it")
