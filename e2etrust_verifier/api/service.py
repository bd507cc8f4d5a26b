# SPDX-License-Identifier: Apache-2.0
"""``/``, ``/v1`` and ``/v1/jwks``: what this service is, and the keys it signs with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import falcon

from e2etrust_core import wire
from e2etrust_verifier.api import answers
from e2etrust_verifier.api.access import caller
from e2etrust_verifier.api.version import API_VERSION


class Root:
    """Version discovery, for everybody."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        link = answers.Link("self", f"{req.prefix}/v1")
        version = answers.Version("v1", "CURRENT", API_VERSION, [link])
        resp.media = wire.to_dict(answers.Versions([version]))


@dataclass(frozen=True)
class Service:
    """What a client needs to know before it seals an image."""

    key_user_id: Callable[[], str | None]

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        caller(req)
        resp.media = wire.to_dict(answers.Service(API_VERSION, self.key_user_id()))


@dataclass(frozen=True)
class Jwks:
    """Public keys of launch records (RFC 7517), for everybody."""

    keys: Callable[[], dict[str, Any]]

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        resp.media = self.keys()
