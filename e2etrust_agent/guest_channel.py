# SPDX-License-Identifier: Apache-2.0
"""Runs one program in a guest through its QEMU guest agent, within limits of size and time.

https://qemu-project.gitlab.io/qemu/interop/qemu-ga-ref.html (guest-exec, guest-exec-status).
What comes back was written by the guest and is taken as hostile.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from contextlib import closing
from typing import Any, Protocol

import libvirt
import libvirt_qemu

from e2etrust_agent.errors import GuestError
from e2etrust_core import wire
from e2etrust_core.errors import InputError

#: Longest output of the program, in bytes, after base64: an event log and a few keys.
MAX_OUTPUT = 4 * 1024 * 1024
#: Seconds for one command of the guest agent itself.
COMMAND_TIMEOUT = 5
POLL = 0.1


class GuestChannel(Protocol):
    """Runs a program in a guest and returns its standard output."""

    def run(self, instance: str, argv: list[str]) -> bytes:
        """:raises GuestError: the guest or its agent does not answer, or the program fails."""
        ...


class QemuGuestAgent:
    """A guest's agent as libvirt reaches it."""

    def __init__(self, uri: str, timeout: float) -> None:
        self._uri = uri
        self._timeout = timeout

    def run(self, instance: str, argv: list[str]) -> bytes:
        """See :class:`GuestChannel`."""
        try:
            with closing(libvirt.open(self._uri)) as connection:
                domain = connection.lookupByUUIDString(instance)
                return self._run(domain, argv)
        except libvirt.libvirtError as exc:
            raise GuestError(
                f"guest agent does not answer (libvirt error {exc.get_error_code()})"
            ) from exc

    def _run(self, domain: libvirt.virDomain, argv: list[str]) -> bytes:
        until = time.monotonic() + self._timeout
        arguments = {"path": argv[0], "arg": argv[1:], "capture-output": True}
        started = _command(domain, "guest-exec", arguments)
        while True:
            status = _command(domain, "guest-exec-status", {"pid": started.get("pid")})
            if status.get("exited") is True:
                return _output(status)
            if time.monotonic() > until:
                raise GuestError("the guest took too long to answer", code="GUEST_TIMEOUT")
            time.sleep(POLL)


def _command(domain: libvirt.virDomain, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps({"execute": name, "arguments": arguments})
    answer = libvirt_qemu.qemuAgentCommand(domain, text, COMMAND_TIMEOUT, 0)
    try:
        return wire.from_json(dict[str, dict[str, Any]], answer, 2 * MAX_OUTPUT)["return"]
    except (InputError, KeyError):
        raise _malformed("the guest agent answers in another form") from None


def _output(status: dict[str, Any]) -> bytes:
    if status.get("exitcode") != 0:
        raise GuestError(
            "the guest could not make its evidence; is there a vTPM in it?", code="GUEST_FAILED"
        )
    data = status.get("out-data", "")
    if status.get("out-truncated") or not isinstance(data, str) or len(data) > MAX_OUTPUT:
        raise _malformed("the guest's evidence is too large")
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise _malformed("the guest's evidence is not base64") from None


def _malformed(reason: str) -> GuestError:
    return GuestError(reason, code="GUEST_MALFORMED")
