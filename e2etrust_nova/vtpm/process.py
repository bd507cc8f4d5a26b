# SPDX-License-Identifier: Apache-2.0
"""Finds a server's swtpm by what the kernel says of its process."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from e2etrust_nova.errors import VtpmError


@dataclass(frozen=True, slots=True)
class VtpmProcess:
    """``incoming``: its state arrives in a migration or restore stream and is left alone."""

    pid: int
    control_socket: Path
    incoming: bool


def find_vtpm(instance: str) -> VtpmProcess:
    """Return the swtpm that runs on the state of *instance* (a UUID).

    :raises VtpmError: there is none, or more than one.
    """
    found = [p for pid in _pids() if (p := _read(pid, instance)) is not None]
    if len(found) != 1:
        raise VtpmError(f"{len(found)} swtpm processes serve this server, one must")
    return found[0]


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _read(pid: int, instance: str) -> VtpmProcess | None:
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        program = os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return None
    if program != "swtpm":
        return None
    options = dict(zip(arguments, arguments[1:], strict=False))
    state = _value(options.get("--tpmstate", ""), "dir")
    control = _value(options.get("--ctrl", ""), "path")
    if control is None or state is None or instance not in Path(state).parts:
        return None
    incoming = "incoming" in options.get("--migration", "").split(",")
    return VtpmProcess(pid, Path(control), incoming)


def _value(option: str, key: str) -> str | None:
    """``type=unixio,path=P,mode=0600`` and a key to its value."""
    pairs = (part.split("=", 1) for part in option.split(",") if "=" in part)
    return next((value for name, value in pairs if name == key), None)
