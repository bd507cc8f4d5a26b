# SPDX-License-Identifier: Apache-2.0
"""The one module that speaks to Nova: compute services and evacuation.

Microversion 2.53 (Pike): services have UUIDs, and evacuation has no ``force``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from keystoneauth1 import adapter, loading
from keystoneauth1 import exceptions as ks_exc
from oslo_config import cfg

from e2etrust_core.errors import E2ETrustError

_HEADERS = {"OpenStack-API-Version": "compute 2.53"}
_PAGE = 200
_CONFLICT = 409


class NovaError(E2ETrustError):
    """Nova refused, or cannot be reached."""

    code = "NOVA_FAILED"
    remedy = "look at Nova's API and at the account of [nova]; it is tried again"


class ServiceUnknown(NovaError):
    """Nova has no compute service on a host of that name."""

    code = "NOVA_SERVICE_UNKNOWN"
    remedy = "the host's name in e2etrust-agent's configuration is that of nova-compute"


@dataclass(frozen=True, slots=True)
class ComputeService:
    """``up``: it reports to Nova, and nobody forced it down."""

    id: str
    enabled: bool
    disabled_reason: str
    up: bool
    forced_down: bool


def nova_adapter(conf: cfg.ConfigOpts) -> adapter.Adapter | None:
    """Return the adapter that [nova] describes, None where it names no account."""
    auth = loading.load_auth_from_conf_options(conf, "nova")
    if auth is None:
        return None
    session = loading.load_session_from_conf_options(conf, "nova", auth=auth)
    return loading.load_adapter_from_conf_options(conf, "nova", session=session, auth=auth)


class Nova:
    """Every method raises NovaError where it could not be done."""

    def __init__(self, http: adapter.Adapter) -> None:
        self._http = http

    def service(self, host: str) -> ComputeService:
        """Return the compute service on *host*.  Raises ServiceUnknown."""
        path = f"/os-services?binary=nova-compute&host={quote(host, safe='')}"
        found = [s for s in self._ask("GET", path)["services"] if s["host"] == host]
        if not found:
            raise ServiceUnknown(f"Nova knows no nova-compute on {host}")
        return _service(found[0])

    def disable(self, service: ComputeService, reason: str) -> None:
        self._change(service, {"status": "disabled", "disabled_reason": reason})

    def enable(self, service: ComputeService) -> None:
        self._change(service, {"status": "enabled"})

    def force_down(self, service: ComputeService, forced: bool) -> None:
        self._change(service, {"forced_down": forced})

    def servers_on(self, host: str) -> list[str]:
        """Return the ids of all servers on *host*, of all projects."""
        found: list[str] = []
        query = f"/servers?all_tenants=1&host={quote(host, safe='')}&limit={_PAGE}"
        path = query
        while True:
            page = [server["id"] for server in self._ask("GET", path)["servers"]]
            found += page
            if len(page) < _PAGE:
                return found
            path = f"{query}&marker={page[-1]}"

    def evacuate(self, server: str) -> bool:
        """Have *server* built anew elsewhere; False where it is in the midst of something."""
        body: dict[str, Any] = {"evacuate": {}}
        told = self._send("POST", f"/servers/{quote(server, safe='')}/action", json=body)
        if told.status_code == _CONFLICT:
            return False
        _ = _checked(told, "evacuate")
        return True

    def _change(self, service: ComputeService, body: dict[str, Any]) -> None:
        self._ask("PUT", f"/os-services/{service.id}", json=body)

    def _ask(self, method: str, path: str, **kwargs: Any) -> dict[str, Any]:
        return _checked(
            self._send(method, path, **kwargs), f"{method} {path.split('?', maxsplit=1)[0]}"
        )

    def _send(self, method: str, path: str, **kwargs: Any) -> Any:
        try:
            return self._http.request(path, method, raise_exc=False, headers=_HEADERS, **kwargs)
        except ks_exc.ClientException as exc:
            raise NovaError(f"Nova cannot be reached ({type(exc).__name__})") from exc


def _checked(told: Any, what: str) -> dict[str, Any]:
    if told.status_code >= 400:
        raise NovaError(f"{what}: HTTP {told.status_code}")
    return told.json() if told.content else {}


def _service(told: dict[str, Any]) -> ComputeService:
    forced = bool(told.get("forced_down"))
    return ComputeService(
        id=told["id"],
        enabled=told["status"] == "enabled",
        disabled_reason=told.get("disabled_reason") or "",
        up=told["state"] == "up" and not forced,
        forced_down=forced,
    )
