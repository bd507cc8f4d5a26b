# SPDX-License-Identifier: Apache-2.0
"""The services of the controller and of a compute host, as a table."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

from e2ecloud import broker, database
from e2ecloud.config.shared import Site
from e2ecloud.layout import BROKER_PORT, CONTROLLER_IP, DATABASE_PORT, Host
from e2ecloud.process import Program

# libvirt quotes its PATH in front of a hook's words, and Nova cuts both at 255 characters.
LIBVIRT_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Service:
    """A program, the port that tells it is ready, and the signal that ends it.

    ``stop_with`` is SIGKILL for Nova's services: they drain for minutes on SIGTERM.
    """

    name: str
    program: Program
    port: int | None = None
    address: str = CONTROLLER_IP
    stop_with: signal.Signals = signal.SIGTERM


def controller(site: Site) -> dict[str, Service]:
    """Name -> service, in the order in which they are started."""
    cloud = site.cloud
    services = [
        Service("rabbitmq", broker.program(site), BROKER_PORT, stop_with=signal.SIGKILL),
        Service("mariadb", database.program(cloud), DATABASE_PORT),
        _wsgi(site, "keystone", "keystone.wsgi.api", 5000),
        _wsgi(site, "placement", "placement.wsgi.api", 8778),
        _wsgi(site, "glance", "glance.wsgi.api", 9292),
        _wsgi(site, "neutron", "neutron.wsgi.api", 9696),
        _wsgi(site, "barbican", "barbican.wsgi.api", 9311),
        _wsgi(site, "nova-api", "nova.wsgi.osapi_compute", 8774),
        _nova(site, "nova-conductor"),
        _nova(site, "nova-scheduler"),
    ]
    if not cloud.plain:
        services.append(_verifier(site))
        services.append(_wsgi(site, "e2etrust-api", "e2etrust_verifier.api.wsgi", 8797))
    return {service.name: service for service in services}


def host(site: Site, which: Host) -> dict[str, Service]:
    """The services of one compute host, in the order in which they are started."""
    log = site.cloud.host_log(which)
    short_path = {"PATH": LIBVIRT_PATH}
    services = [
        Service(
            "virtlogd", Program("virtlogd", ["virtlogd"], log / "libvirt/virtlogd.log", short_path)
        ),
        Service(
            "libvirtd", Program("libvirtd", ["libvirtd"], log / "libvirt/libvirtd.log", short_path)
        ),
        Service(
            "nova-compute",
            Program(
                "nova-compute",
                [f"{site.cloud.bin}/nova-compute", "--config-file", "/etc/nova/nova.conf"],
                log / "nova/nova-compute.log",
                {"PATH": f"{site.cloud.bin}:{LIBVIRT_PATH}"},
            ),
            stop_with=signal.SIGKILL,
        ),
    ]
    if not site.cloud.plain:
        agent = _agent(site, log / "e2etrust")
        services.insert(2, agent)
    return {service.name: service for service in services}


def _wsgi(site: Site, name: str, module: str, port: int) -> Service:
    runner = str(Path(__file__).with_name("wsgi.py"))
    argv = [f"{site.cloud.bin}/python", "-P", runner, module, CONTROLLER_IP, str(port)]
    # nova-api keeps threads that do not end on SIGTERM; nothing here has state to save.
    return Service(
        name,
        Program(name, argv, site.cloud.log / f"{name}.log", _config_directories()),
        port,
        stop_with=signal.SIGKILL,
    )


def _config_directories() -> dict[str, str]:
    directories = {
        f"OS_{name.upper()}_CONFIG_DIR": f"/etc/{name}"
        for name in ("keystone", "placement", "glance", "neutron", "barbican", "nova")
    }
    return {
        **directories,
        "OS_NEUTRON_CONFIG_FILES": "neutron.conf",
        "OS_NOVA_CONFIG_FILES": "api-paste.ini;nova.conf;nova-api.conf",
    }


def _nova(site: Site, name: str) -> Service:
    argv = [f"{site.cloud.bin}/{name}", "--config-file", "/etc/nova/nova.conf"]
    program = Program(name, argv, site.cloud.log / f"{name}.log")
    return Service(name, program, stop_with=signal.SIGKILL)


def _verifier(site: Site) -> Service:
    name = "e2etrust-verifier"
    argv = [f"{site.cloud.bin}/{name}", "--config-file", "/etc/e2etrust/verifier.conf"]
    return Service(name, Program(name, argv, site.cloud.log / f"{name}.log"))


def _agent(site: Site, log: Path) -> Service:
    name = "e2etrust-agent"
    argv = [f"{site.cloud.bin}/{name}", "--config-file", "/etc/e2etrust/agent.conf"]
    program = Program(name, argv, log / f"{name}.log")
    return Service(name, program)
