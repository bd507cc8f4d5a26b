# SPDX-License-Identifier: Apache-2.0
"""What demo and tests ask of a cloud; see the package's docstring for the list."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from e2ecloud import accounts, hosts, lifecycle, lock, process, services, startup, tpm
from e2ecloud import namespace as ns
from e2ecloud.errors import CloudError
from e2ecloud.layout import Cloud, Host, host_named
from e2ecloud.progress import Progress
from e2ecloud.seed import seed as seed
from e2ecloud.status import status as status
from e2ecloud.tpm import TpmClock


def up(cloud: Cloud, progress: Progress | None = None) -> bool:
    """Start the cloud, or leave it as it is when it is up; whether anything was done."""
    return lifecycle.up(cloud, progress or Progress(quiet=True))


def down(cloud: Cloud) -> None:
    """Leave no process, mount, namespace or socket; from any state."""
    lifecycle.down(cloud)


def environment(cloud: Cloud, user: str = "admin") -> dict[str, str]:
    """OS_* variables of ``admin``, ``alice`` or ``e2etrust``."""
    return accounts.variables(lifecycle.site_of(cloud), user)


def exec_in(
    cloud: Cloud,
    argv: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    directory: Path = Path("/"),
    input: bytes | None = None,
    timeout: float = 600.0,
) -> subprocess.CompletedProcess[bytes]:
    """Run a program in the cloud's namespace; its output as bytes, its exit status unchecked."""
    return _exec(lifecycle.space_of(cloud), argv, environment, directory, input, timeout)


def openstack(
    cloud: Cloud, *arguments: str, user: str = "admin", timeout: float = 600.0
) -> subprocess.CompletedProcess[bytes]:
    """``openstack ARGUMENTS`` as ``user``; its exit status unchecked."""
    argv = [f"{cloud.bin}/openstack", *arguments]
    return exec_in(cloud, argv, environment=environment(cloud, user), timeout=timeout)


def openstack_json(cloud: Cloud, *arguments: str, user: str = "admin") -> Any:
    """``openstack ARGUMENTS -f json``, parsed.

    :raises CloudError: when the command fails, with what it said.
    """
    result = openstack(cloud, *arguments, "-f", "json", user=user)
    if result.returncode:
        raise CloudError(
            f"openstack {' '.join(arguments)}: {result.stderr.decode(errors='replace').strip()}"
        )
    return json.loads(result.stdout)


def host_exec(
    cloud: Cloud,
    host: str,
    argv: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    input: bytes | None = None,
    timeout: float = 600.0,
) -> subprocess.CompletedProcess[bytes]:
    """Run a program as the root of a compute host; its exit status unchecked."""
    space = hosts.space_of(cloud, host_named(host))
    return _exec(space, argv, environment, Path("/"), input, timeout)


def host_extend(cloud: Cloud, host: str, pcr: int, data: bytes) -> None:
    """Extend a PCR of the host's TPM (sha256 bank) with SHA-256 of ``data``: tampering."""
    digest = hashlib.sha256(data).hexdigest()
    tpm.extend(hosts.space_of(cloud, host_named(host)), pcr, digest)


def tpm_clock(cloud: Cloud, host: str) -> TpmClock:
    """resetCount, restartCount and clock of the host's TPM."""
    return tpm.read_clock(hosts.space_of(cloud, host_named(host)))


def power_cut(cloud: Cloud, host: str) -> None:
    """End the host at once: its processes, mounts, network, and the power of its TPM."""
    with lock.exclusive(cloud, patience=60):
        hosts.power_cut(cloud, lifecycle.space_of(cloud), host_named(host))


def boot(cloud: Cloud, host: str) -> None:
    """Power the host on; measured boot and all its services. Nothing happens when it is on."""
    which = host_named(host)
    site = lifecycle.site_of(cloud)
    with lock.exclusive(cloud, patience=60):
        hosts.boot(site, lifecycle.space_of(cloud), which)
        hosts.start_services(site, which, tuple(services.host(site, which)))


def service(cloud: Cloud, name: str, action: str) -> None:
    """``stop``, ``start`` or ``restart`` a service: NAME, or HOST/NAME.

    :raises CloudError: when there is no such service, or it does not start.
    """
    found, space, record = _find_service(cloud, name)
    if action in ("stop", "restart"):
        process.stop(space, record, found.stop_with)
    if action in ("start", "restart"):
        if "/" in name:
            process.start(space, found.program, record)
        else:
            startup.start_service(cloud, space, found)


def log_path(cloud: Cloud, name: str) -> Path:
    """The log file of a service: NAME, or HOST/NAME."""
    return _find_entry(cloud, name)[0].program.log


def _find_service(cloud: Cloud, name: str) -> tuple[services.Service, ns.Namespace, Path]:
    found, host = _find_entry(cloud, name)
    if host is None:
        return found, lifecycle.space_of(cloud), startup.service_record(cloud, found.name)
    record = hosts.service_record(cloud, host, found.name)
    return found, hosts.space_of(cloud, host), record


def _find_entry(cloud: Cloud, name: str) -> tuple[services.Service, Host | None]:
    site = lifecycle.site_of(cloud)
    host_name, _, short = name.rpartition("/")
    host = host_named(host_name) if host_name else None
    table = services.controller(site) if host is None else services.host(site, host)
    if short not in table:
        known = ", ".join(table)
        raise CloudError(f"no service is called {name!r}", remedy=f"there are: {known}")
    return table[short], host


def _exec(
    space: ns.Namespace,
    argv: Sequence[str],
    environment: Mapping[str, str] | None,
    directory: Path,
    data: bytes | None,
    timeout: float,
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ns.enter_command(space, directory) + list(argv),
        env=process.clean_environment(environment or {}),
        input=b"" if data is None else data,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
