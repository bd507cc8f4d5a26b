# SPDX-License-Identifier: Apache-2.0
"""The typed client of the agent's Unix socket."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from pathlib import Path
from typing import TypeVar

from e2etrust_agent.client import protocol
from e2etrust_agent.errors import AgentDownError
from e2etrust_core import messages, wire

DEFAULT_SOCKET = Path("/run/e2etrust/agent.sock")
#: Seconds for one operation; the agent's own limits on the verifier are shorter.
TIMEOUT = 20.0

T = TypeVar("T")


class AgentClient:
    """One connection an operation: a restarted agent is met again by the next one.

    Every method raises :class:`e2etrust_core.messages.RemoteRefusal` where the agent (or the
    verifier behind it) refuses, and :class:`AgentDownError` where nobody answers.
    """

    def __init__(self, path: Path = DEFAULT_SOCKET, timeout: float = TIMEOUT) -> None:
        self._path = path
        self._timeout = timeout

    def launch_begin(self, request: protocol.LaunchBegin) -> messages.Challenge:
        """Ask for the challenge of a launch; ``lease`` is set, or the host is refused."""
        return self._ask("launch_begin", request, messages.Challenge)

    def launch_finish(self, request: protocol.LaunchFinish) -> protocol.LaunchOpened:
        """Prove the host for this launch and get the image key, opened by the host's TPM."""
        return self._ask("launch_finish", request, protocol.LaunchOpened)

    def started(self, request: protocol.LaunchStarted) -> None:
        self._ask("started", request, protocol.Done)

    def ended(self, request: protocol.LaunchEnd) -> None:
        self._ask("ended", request, protocol.Done)

    def failed(self, request: protocol.LaunchEnd) -> None:
        self._ask("failed", request, protocol.Done)

    def refused(self, note: protocol.RefusalNote) -> None:
        """Leave a refusal for the tenant to read; it is sent on when the verifier answers."""
        self._ask("refused", note, protocol.Done)

    def status(self) -> protocol.AgentStatus:
        return self._ask("status", None, protocol.AgentStatus)

    def attest(self) -> protocol.AttestSummary:
        """Attest now."""
        return self._ask("attest", None, protocol.AttestSummary)

    def _ask(self, op: str, request: object | None, kind: type[T]) -> T:
        body = wire.to_dict(request) if request is not None else {}
        line = wire.to_json(protocol.Envelope(op, body)) + b"\n"
        try:
            answer = self._exchange(line)
        except OSError as exc:
            raise AgentDownError(f"agent does not answer: {exc.strerror or exc}") from exc
        if not answer.endswith(b"\n"):
            raise AgentDownError("agent hung up before it answered")
        return messages.read_reply(kind, wire.from_json(dict, answer, protocol.MAX_LINE))

    def _exchange(self, line: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(self._timeout)
            self._check_owner()
            connection.connect(str(self._path))
            # A refusal may be there, and the other end gone, before the question is sent.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(line)
                connection.shutdown(socket.SHUT_WR)
            with connection.makefile("rb") as stream:
                return stream.readline(protocol.MAX_LINE + 1)

    def _check_owner(self) -> None:
        """Whoever answers gets the launch's trust: the socket must be root's (or our own)."""
        found = os.lstat(self._path)
        if not stat.S_ISSOCK(found.st_mode) or found.st_uid not in (0, os.geteuid()):
            raise AgentDownError(f"{self._path} is not root's socket")
