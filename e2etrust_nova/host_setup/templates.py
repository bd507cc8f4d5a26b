# SPDX-License-Identifier: Apache-2.0
"""The files that come with this software, made fit for where it is installed."""

from __future__ import annotations

import sys
from pathlib import Path

from e2etrust_nova.errors import HostSetupError

_INSTALLED = Path(sys.prefix, "share", "e2etrust")
#: In a checkout that is installed in place, data files stand where they are kept.
_CHECKOUT = Path(__file__).resolve().parents[2] / "etc"
HOOK_COMMAND = "e2etrust-libvirt-hook"
_USUAL_COMMANDS = "/opt/e2etrust/bin"


def read(name: str) -> str:
    """Return a file that came with this software, such as ``systemd/e2etrust-agent.service``.

    :raises HostSetupError: it did not.
    """
    for directory in (_INSTALLED, _CHECKOUT):
        path = directory / name
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise HostSetupError(f"{name} did not come with this installation", remedy="install it anew")


def hook(commands: Path) -> bytes:
    """Return libvirt's hook script, which runs the command in the directory *commands*."""
    return read("libvirt-hooks/qemu").replace("@HOOK@", str(commands / HOOK_COMMAND)).encode()


def unit(commands: Path) -> bytes:
    """Return the agent's systemd unit."""
    return read("systemd/e2etrust-agent.service").replace(_USUAL_COMMANDS, str(commands)).encode()


def logrotate() -> bytes:
    return read("logrotate.d/e2etrust").encode()
