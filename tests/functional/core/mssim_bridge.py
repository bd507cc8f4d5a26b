# SPDX-License-Identifier: Apache-2.0
"""The reference simulator's protocol (TPM 2.0 Library Part 4, TcpServer) in front of any TPM."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path

_SEND_COMMAND, _SESSION_END = 8, 20


class MssimBridge:
    """Listens on two ports in a row, commands and platform, for one client at a time.

    :param transmit: hands a command to the TPM and returns its response.
    """

    def __init__(self, transmit: Callable[[bytes], bytes]) -> None:
        self._transmit = transmit
        while True:
            self._command = socket.create_server(("127.0.0.1", 0))
            self.port = self._command.getsockname()[1]
            try:
                self._platform = socket.create_server(("127.0.0.1", self.port + 1))
                break
            except OSError:
                self._command.close()
        self._threads = [
            threading.Thread(target=self._serve, args=one, daemon=True)
            for one in ((self._command, self._tell), (self._platform, self._power))
        ]

    def __enter__(self) -> MssimBridge:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        for listener in (self._command, self._platform):
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for thread in self._threads:
            thread.join(10)

    def _serve(self, listener: socket.socket, answer) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                while (code := _exactly(client, 4)) and int.from_bytes(code, "big") != _SESSION_END:
                    answer(client, int.from_bytes(code, "big"))

    def _power(self, client: socket.socket, _code: int) -> None:
        client.sendall(bytes(4))

    def _tell(self, client: socket.socket, code: int) -> None:
        assert code == _SEND_COMMAND
        size = int.from_bytes(_exactly(client, 5)[1:], "big")
        command = _exactly(client, size)
        response = self._transmit(command)
        client.sendall(len(response).to_bytes(4, "big") + response + bytes(4))


def swtpm_at(path: Path) -> Callable[[bytes], bytes]:
    """Transmit to the swtpm that listens on that Unix socket."""

    def transmit(command: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX) as tpm:
            tpm.connect(str(path))
            tpm.sendall(command)
            head = _exactly(tpm, 10)
            return head + _exactly(tpm, int.from_bytes(head[2:6], "big") - 10)

    return transmit


def _exactly(peer: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = peer.recv(size - len(data))
        if not more:
            return b""
        data += more
    return data
