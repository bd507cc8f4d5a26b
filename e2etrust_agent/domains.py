# SPDX-License-Identifier: Apache-2.0
"""The domains that run on this host, read from libvirt's own status files.

``/run/libvirt/qemu/<name>.xml`` is written by libvirt's QEMU driver as soon as a QEMU process
exists, and holds its process id and the whole domain.  libvirtd is not asked: while a hook runs
it holds that domain's lock, and listing domains would wait for it, and the hook waits for us.
"""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from e2etrust_agent.errors import DomainsUnreadableError
from e2etrust_core.launch_domain import MAX_DOMAIN_XML, DomainError, parse_status, read_domain

_QEMU = "qemu"


@dataclass(frozen=True, slots=True)
class QemuDomain:
    """A running domain and its QEMU process; ``start_ticks`` are clock ticks since boot."""

    instance: str
    name: str
    demands_trust: bool
    pid: int
    start_ticks: int


def running_domains(directory: Path, every_server: bool = False) -> list[QemuDomain]:
    """Return the domains whose QEMU process lives, by name.

    :param every_server: this host demands trust for whatever runs on it.

    A running domain whose metadata cannot be read counts as one that demands trust.

    :raises DomainsUnreadableError: the directory or a status file cannot be read.
    """
    try:
        names = sorted(n for n in os.listdir(directory) if n.endswith(".xml"))
    except OSError as exc:
        raise DomainsUnreadableError(
            f"running domains cannot be listed: {directory}: {exc.strerror}"
        ) from exc
    found = [_read(directory / name, every_server) for name in names]
    return [domain for domain in found if domain is not None]


def find_domain(directory: Path, instance: str) -> QemuDomain | None:
    """Return the running domain of that UUID.

    :raises DomainsUnreadableError: see :func:`running_domains`.
    """
    return next((d for d in running_domains(directory) if d.instance == instance), None)


def process_start_ticks(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot (proc(5), stat field 22)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = text[text.rindex(b")") + 2 :].split()
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def _read(path: Path, every_server: bool) -> QemuDomain | None:
    try:
        with open(path, "rb") as stream:
            text = stream.read(MAX_DOMAIN_XML + 1)
        status = parse_status(text)
    except FileNotFoundError:
        return None  # ended since the directory was listed
    except (OSError, DomainError) as exc:
        raise DomainsUnreadableError(f"status of domain {path.stem!r}: {exc}") from exc
    ticks = process_start_ticks(status.pid)
    if ticks is None or not _is_qemu(status.pid):
        return None  # a status file that its process outlived: libvirtd was killed
    demands, instance, name = _demand(status.domain, path, every_server)
    return QemuDomain(instance, name, demands, status.pid, ticks)


def _demand(domain: ET.Element, path: Path, every_server: bool) -> tuple[bool, str, str]:
    try:
        read = read_domain(domain, every_server)
    except DomainError:
        instance = (domain.findtext("uuid") or "").strip()
        return True, instance, path.stem
    return bool(read.demand), read.instance, read.name


def _is_qemu(pid: int) -> bool:
    """Process ids are used again: a status file's must still be a QEMU."""
    try:
        return _QEMU in os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return False
