# SPDX-License-Identifier: Apache-2.0
"""Finds a server's swtpm by what the kernel says of its process.

Any account can run a program with any arguments: only libvirt's own counts, which runs as root or
as whom libvirt gave the state's directory to.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from e2etrust_nova.errors import VtpmError
from e2etrust_nova.vtpm.volatile_state import STATE_ROOT

_PROC = Path("/proc")
#: proc(5): real, effective, saved and file system's; the directory's own owner can be made root.
_UIDS = re.compile(r"^Uid:((?:\t[0-9]+){4})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class VtpmProcess:
    """``incoming``: its state arrives in a migration or restore stream and is left alone."""

    pid: int
    control_socket: Path
    incoming: bool


def find_vtpm(instance: str, root: Path = STATE_ROOT, proc: Path = _PROC) -> VtpmProcess:
    """Return the swtpm that runs on the state of *instance* (a UUID) below *root*.

    :raises VtpmError: there is none, or more than one.
    """
    state = root / instance
    found = [p for one in _processes(proc) if (p := _read(one, state)) is not None]
    if len(found) != 1:
        raise VtpmError(f"{len(found)} swtpm processes serve this server, one must")
    return found[0]


def _processes(proc: Path) -> list[Path]:
    return [proc / name for name in os.listdir(proc) if name.isdigit()]


def _read(process: Path, server: Path) -> VtpmProcess | None:
    try:
        arguments = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        program = os.path.basename(os.readlink(process / "exe"))
    except OSError:
        return None
    if program != "swtpm":
        return None
    options = dict(zip(arguments, arguments[1:], strict=False))
    state = _value(options.get("--tpmstate", ""), "dir")
    control = _value(options.get("--ctrl", ""), "path")
    if control is None or state is None or Path(state).parent != server:
        return None
    if not _is_libvirts(process, Path(state)):
        return None
    incoming = "incoming" in options.get("--migration", "").split(",")
    return VtpmProcess(int(process.name), Path(control), incoming)


def _is_libvirts(process: Path, state: Path) -> bool:
    try:
        told = _UIDS.search((process / "status").read_text(errors="replace"))
        owner = os.lstat(state).st_uid
    except OSError:
        return False
    return told is not None and {int(one) for one in told[1].split()} <= {0, owner}


def _value(option: str, key: str) -> str | None:
    """``type=unixio,path=P,mode=0600`` and a key to its value."""
    pairs = (part.split("=", 1) for part in option.split(",") if "=" in part)
    return next((value for name, value in pairs if name == key), None)
