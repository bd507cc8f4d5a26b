# SPDX-License-Identifier: Apache-2.0
"""The QEMU process of a domain, as libvirt's QEMU driver writes it down."""

from __future__ import annotations

from pathlib import Path

from e2etrust_core.launch_domain import Domain
from e2etrust_nova.errors import LaunchRefused

PID_DIR = Path("/run/libvirt/qemu")


def qemu_pid(domain: Domain, pid_dir: Path = PID_DIR) -> int:
    """Return the process id of the domain's QEMU.

    :raises LaunchRefused: libvirt wrote none, or that process is not this domain's QEMU.
    """
    try:
        pid = int((pid_dir / f"{domain.name}.pid").read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError) as exc:
        raise LaunchRefused(f"QEMU process not found: {exc}", code="QEMU_UNKNOWN") from None
    if domain.instance.encode() not in words:
        raise LaunchRefused("another process has QEMU's place", code="QEMU_UNKNOWN")
    return pid
