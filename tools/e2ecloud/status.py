# SPDX-License-Identifier: Apache-2.0
"""What runs: services of the controller, hosts with their services and TPMs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from e2ecloud import hosts, lifecycle, process, services, startup, tpm
from e2ecloud import namespace as ns
from e2ecloud.config.shared import Site
from e2ecloud.errors import NotRunning
from e2ecloud.layout import HOSTS, Cloud, Host


@dataclass(frozen=True)
class HostStatus:
    name: str
    power: bool
    tpm: bool
    services: dict[str, bool]


@dataclass(frozen=True)
class Status:
    """``services``: name -> whether it runs (and listens, when it has a port)."""

    up: bool
    services: dict[str, bool]
    hosts: tuple[HostStatus, ...]

    @property
    def healthy(self) -> bool:
        parts = [self.up, *self.services.values()]
        for host in self.hosts:
            parts += [host.power, host.tpm, *host.services.values()]
        return all(parts)

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "healthy": self.healthy}


def status(cloud: Cloud) -> Status:
    """Look, without asking any service; a cloud that is down has no services."""
    try:
        site, space = lifecycle.site_of(cloud), lifecycle.space_of(cloud)
    except NotRunning:
        return Status(False, {}, ())
    running = {
        name: process.pid_of(space, startup.service_record(cloud, name)) is not None
        and (service.port is None or startup.listens(space, service.port))
        for name, service in services.controller(site).items()
    }
    found = tuple(_host(site, space, host) for host in HOSTS)
    return Status(lifecycle.complete(cloud), running, found)


def _host(site: Site, outer: ns.Namespace, host: Host) -> HostStatus:
    cloud = site.cloud
    space = ns.load(hosts.namespace_record(cloud, host))
    running = {
        name: space is not None
        and process.pid_of(space, hosts.service_record(cloud, host, name)) is not None
        for name in services.host(site, host)
    }
    return HostStatus(host.name, space is not None, tpm.running(cloud, outer, host), running)
