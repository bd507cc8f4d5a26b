# SPDX-License-Identifier: Apache-2.0
"""The one module that speaks to Nova: compute services and evacuation.

Microversion 2.53 (Pike): services have UUIDs, and evacuation has no ``force``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

from keystoneauth1 import adapter
from keystoneauth1 import exceptions as ks_exc

from e2etrust_core import wire
from e2etrust_core.errors import E2ETrustError, InputError

_HEADERS = {"OpenStack-API-Version": "compute 2.53"}
_PAGE = 200
_CONFLICT = 409

T = TypeVar("T")


class NovaError(E2ETrustError):
    """Nova refused, or cannot be reached."""

    code = "NOVA_FAILED"
    remedy = "look at Nova's API and at the account of [nova]; it is tried again"


class NovaRefused(NovaError):
    """Nova answered that it does not do it: what else is asked of it may pass."""


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


@dataclass(frozen=True, slots=True)
class _Service:
    """What Nova answers of a service, as far as it is read."""

    id: str
    host: str
    status: str
    state: str
    disabled_reason: str | None = None
    forced_down: bool = False


@dataclass(frozen=True, slots=True)
class _Services:
    services: list[_Service]


@dataclass(frozen=True, slots=True)
class _Server:
    id: str


@dataclass(frozen=True, slots=True)
class _Servers:
    servers: list[_Server]


class Nova:
    """Every method raises NovaError where it could not be done."""

    def __init__(self, http: adapter.Adapter) -> None:
        self._http = http

    def service(self, host: str) -> ComputeService:
        """Return the compute service on *host*.  Raises ServiceUnknown."""
        path = f"/os-services?binary=nova-compute&host={quote(host, safe='')}"
        found = [s for s in self._read(_Services, path).services if s.host == host]
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
        # Until a page is empty: Nova may be set to give shorter ones than are asked for.
        while page := self._read(_Servers, path).servers:
            found += [server.id for server in page]
            path = f"{query}&marker={page[-1].id}"
        return found

    def evacuate(self, server: str) -> bool:
        """Have *server* built anew elsewhere; False where its state (paused, ...) forbids it.

        :raises NovaRefused: that server cannot be.
        """
        body: dict[str, Any] = {"evacuate": {}}
        path = f"/servers/{quote(server, safe='')}/action"
        told = self._send("POST", path, json=body)
        if told.status_code == _CONFLICT:
            return False
        _check(told, f"evacuation of {server}")
        return True

    def _change(self, service: ComputeService, body: dict[str, Any]) -> None:
        path = f"/os-services/{quote(service.id, safe='')}"
        _check(self._send("PUT", path, json=body), "change of a compute service")

    def _read(self, kind: type[T], path: str) -> T:
        told = self._send("GET", path)
        _check(told, path.split("?", maxsplit=1)[0])
        try:
            return wire.from_json(kind, told.content)
        except InputError as exc:
            raise NovaError(f"Nova's answer cannot be read: {exc.reason}") from None

    def _send(self, method: str, path: str, **kwargs: Any) -> Any:
        try:
            return self._http.request(path, method, raise_exc=False, headers=_HEADERS, **kwargs)
        except ks_exc.ClientException as exc:
            raise NovaError(f"Nova cannot be reached ({type(exc).__name__})") from exc


def _check(told: Any, what: str) -> None:
    if told.status_code >= 400:
        raise NovaRefused(f"{what}: HTTP {told.status_code}")


def _service(told: _Service) -> ComputeService:
    return ComputeService(
        id=told.id,
        enabled=told.status == "enabled",
        disabled_reason=told.disabled_reason or "",
        up=told.state == "up" and not told.forced_down,
        forced_down=told.forced_down,
    )
