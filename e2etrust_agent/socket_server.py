# SPDX-License-Identifier: Apache-2.0
"""The agent's Unix socket, for root of this host only.

Protocol: :mod:`e2etrust_agent.client.protocol`.
"""

from __future__ import annotations

import logging
import os
import socket
import stat
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from e2etrust_agent.client.protocol import MAX_LINE, Done, Envelope
from e2etrust_agent.errors import RequestError, StateError
from e2etrust_core import messages, wire
from e2etrust_core.errors import E2ETrustError

LOG = logging.getLogger(__name__)

#: Seconds a client may take to say what it wants.
READ_TIMEOUT = 5.0
#: Clients served at once; more are turned away.
MAX_CLIENTS = 32
_UCRED = struct.Struct("3i")


class Operation:
    """One operation: the type of its request (None: it has none) and what does it."""

    def __init__(self, handler: Callable[..., object | None], request: type | None = None) -> None:
        self.handler = handler
        self.request = request

    def __call__(self, body: dict[str, Any]) -> object:
        if self.request is None:
            result = self.handler()
        else:
            result = self.handler(wire.from_dict(self.request, body))
        return Done() if result is None else result


class SocketServer:
    """Serves *operations* on the Unix socket *path*; a thread a client."""

    def __init__(self, path: Path, operations: dict[str, Operation]) -> None:
        self._path = path
        self._operations = operations
        self._slots = threading.BoundedSemaphore(MAX_CLIENTS)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="socket", daemon=True)
        self._socket: socket.socket | None = None

    def start(self) -> None:
        """Bind and serve.

        :raises StateError: the socket's directory can be written by others, or another agent
            serves there.
        """
        self._socket = _bind(self._path)
        self._thread.start()

    def stop(self, timeout: float) -> None:
        self._stopping = True
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self._thread.join(timeout)
            self._socket.close()
            self._path.unlink(missing_ok=True)

    def _run(self) -> None:
        listener = self._socket
        while listener is not None and not self._stopping:
            try:
                connection, _ = listener.accept()
            except OSError:
                if not self._stopping:
                    LOG.exception("the agent's socket does not accept")
                return
            if not self._slots.acquire(blocking=False):
                LOG.error("more than %d clients on the agent's socket", MAX_CLIENTS)
                connection.close()
                continue
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                connection.settimeout(READ_TIMEOUT)
                answer = self._answer(connection)
                connection.sendall(wire.to_json(answer) + b"\n")
        except OSError as exc:
            LOG.info("a client of the agent's socket left: %s", exc)
        finally:
            self._slots.release()

    def _answer(self, connection: socket.socket) -> dict[str, Any]:
        """:raises OSError: the client left before it said what it wants."""
        try:
            _check_peer(connection)
        except RequestError as exc:
            return messages.reply_error(exc)
        with connection.makefile("rb") as stream:
            line = stream.readline(MAX_LINE + 1)
        return self._reply(line)

    def _reply(self, line: bytes) -> dict[str, Any]:
        try:
            envelope = wire.from_json(Envelope, line, MAX_LINE)
            operation = self._operations.get(envelope.op)
            if operation is None:
                raise RequestError("no such operation")
            return messages.reply_ok(operation(envelope.request))
        except E2ETrustError as exc:
            return messages.reply_error(exc)
        except Exception:
            LOG.exception("an operation on the agent's socket failed in an unforeseen way")
            return messages.reply_error(
                E2ETrustError("the agent failed; its log says how", code="INTERNAL")
            )


def _check_peer(connection: socket.socket) -> None:
    """Only root asks: the kernel says who connected (unix(7), SO_PEERCRED)."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    _, uid, _ = _UCRED.unpack(raw)
    if uid != 0:
        raise RequestError(
            "only root may ask the agent", code="PEER_REFUSED", remedy="Ask as root."
        )


def _bind(path: Path) -> socket.socket:
    directory = path.parent
    try:
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        found = os.lstat(directory)
    except OSError as exc:
        raise StateError(f"{directory}: {exc.strerror}") from exc
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o022:
        raise StateError(
            f"{directory} must be a directory that only root can write to",
            remedy="Set its owner to root and its mode to 0755.",
        )
    if _answers(path):
        raise StateError(
            f"another agent answers on {path}",
            code="AGENT_RUNS_ALREADY",
            remedy="End that one first; a host has one agent.",
        )
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    except OSError as exc:
        raise StateError(f"{path} cannot be bound: {exc.strerror}") from exc
    finally:
        os.umask(mask)
    listener.listen(MAX_CLIENTS)
    return listener


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
