# SPDX-License-Identifier: Apache-2.0
"""``/``, ``/v1`` and ``/v1/jwks``: what this service is, and the keys it signs with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import falcon

from e2etrust_verifier.api.access import caller

API_VERSION = "1.1"


class Root:
    """Version discovery, for everybody."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        link = {"rel": "self", "href": f"{req.prefix}/v1"}
        resp.media = {
            "versions": [{"id": "v1", "status": "CURRENT", "version": API_VERSION, "links": [link]}]
        }


@dataclass(frozen=True)
class Service:
    """What a client needs to know before it seals an image."""

    key_user_id: Callable[[], str | None]

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        caller(req)
        resp.media = {"version": API_VERSION, "key_user_id": self.key_user_id()}


@dataclass(frozen=True)
class Jwks:
    """Public keys of launch records (RFC 7517), for everybody."""

    keys: Callable[[], dict[str, Any]]

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        resp.media = self.keys()
