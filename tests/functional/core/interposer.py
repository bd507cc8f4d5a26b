# SPDX-License-Identifier: Apache-2.0
"""Somebody on the bus between a machine and its TPM, who sees and changes what crosses it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.functional.core.mssim_bridge import _exactly as exactly

#: Gets a command, returns what is answered without asking the TPM, or None.
Forge = Callable[[bytes], bytes | None]
#: Gets a command and the TPM's answer to it, returns what the machine is told.
Alter = Callable[[bytes, bytes], bytes]


@dataclass
class Interposer:
    """Stands before swtpm's socket *tpm*, at *place*."""

    tpm: Path
    place: Path
    forge: Forge = lambda command: None
    alter: Alter = lambda command, answer: answer
    seen: list[bytes] = field(default_factory=list)

    @property
    def tcti(self) -> str:
        return f"swtpm:path={self.place}"

    def __enter__(self) -> Interposer:
        Path(f"{self.place}.ctrl").symlink_to(f"{self.tpm}.ctrl")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.place))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)
        Path(f"{self.place}.ctrl").unlink()
        self.place.unlink()

    def _serve(self) -> None:
        while True:
            try:
                machine, _ = self._listener.accept()
            except OSError:
                return
            with machine, socket.socket(socket.AF_UNIX) as tpm:
                tpm.connect(str(self.tpm))
                while command := message(machine):
                    machine.sendall(self._answer(command, tpm))

    def _answer(self, command: bytes, tpm: socket.socket) -> bytes:
        answer = self.forge(command)
        if answer is None:
            tpm.sendall(command)
            answer = self.alter(command, message(tpm))
        self.seen += [command, answer]
        return answer


def message(peer: socket.socket) -> bytes:
    """Return one whole command or answer (TPM 2.0 Library Part 1, 18), nothing at the end."""
    try:
        head = exactly(peer, 10)
        return head + exactly(peer, int.from_bytes(head[2:6], "big") - 10) if head else b""
    except ConnectionResetError:
        return b""


def code_of(command: bytes) -> int:
    return int.from_bytes(command[6:10], "big")
