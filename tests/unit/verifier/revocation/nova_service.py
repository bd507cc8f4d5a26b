# SPDX-License-Identifier: Apache-2.0
"""Nova at its HTTP edge, at microversion 2.53: compute services, and who is evacuated."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

from keystoneauth1 import exceptions as ks_exc


class NovaService:
    """``down``: it cannot be reached; ``dies``: the caller does not hear of the next change."""

    def __init__(self, *hosts: str) -> None:
        self.services: dict[str, dict[str, Any]] = {
            host: {
                "id": f"id-{host}",
                "host": host,
                "binary": "nova-compute",
                "status": "enabled",
                "state": "up",
                "disabled_reason": None,
                "forced_down": False,
            }
            for host in hosts
        }
        self.servers: dict[str, list[str]] = {}
        self.busy: set[str] = set()
        self.stuck: set[str] = set()
        self.evacuated: list[str] = []
        self.changes: list[tuple[str, dict[str, Any]]] = []
        self.longest_page = 100
        self.down = False
        self.away_after = ""
        self.dies = False
        self.garbled = b""

    def disable(self, host: str, reason: str) -> None:
        self.services[host].update(status="disabled", disabled_reason=reason)

    def status(self, host: str) -> tuple[str, str | None]:
        service = self.services[host]
        return service["status"], service["disabled_reason"]

    def request(self, path: str, method: str, **kwargs: Any) -> SimpleNamespace:
        assert kwargs["headers"] == {"OpenStack-API-Version": "compute 2.53"}
        if self.down:
            raise ks_exc.ConnectFailure("no route")
        parts = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        status, body = self._answer(method, parts.path, query, kwargs.get("json"))
        text = json.dumps(body).encode() if body is not None else b""
        return SimpleNamespace(status_code=status, content=self.garbled or text)

    def _answer(
        self, method: str, path: str, query: dict[str, str], body: Any
    ) -> tuple[int, dict[str, Any] | None]:
        if method == "GET" and path == "/os-services":
            found = [s for s in self.services.values() if s["host"] == query["host"]]
            return 200, {"services": found}
        if method == "GET" and path == "/servers":
            ids = self.servers.get(query["host"], [])
            after = ids.index(query["marker"]) + 1 if "marker" in query else 0
            page = ids[after : after + min(int(query["limit"]), self.longest_page)]
            return 200, {"servers": [{"id": one} for one in page]}
        if method == "PUT":
            return self._change(path.split("/")[2].removeprefix("id-"), body)
        return self._evacuate(path.split("/")[2], body)

    def _change(self, host: str, body: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
        self.changes.append((host, body))
        service = self.services[host]
        service.update(body)
        if service["status"] == "enabled":
            service["disabled_reason"] = None
        if self.dies:
            raise KeyboardInterrupt
        return 200, {"service": service}

    def _evacuate(self, server: str, body: Any) -> tuple[int, dict[str, Any] | None]:
        assert body == {"evacuate": {}}
        (host,) = (name for name, ids in self.servers.items() if server in ids)
        service = self.services[host]
        if service["state"] == "up" and not service["forced_down"]:
            return 400, {"badRequest": {}}
        if server in self.stuck:
            return 400, {"badRequest": {}}
        if server in self.busy:
            return 409, {"conflictingRequest": {}}
        self.evacuated.append(server)
        self.down = server == self.away_after
        return 200, None
