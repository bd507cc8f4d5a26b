# SPDX-License-Identifier: Apache-2.0
"""swtpm's control channel: big-endian u32 command and body; the answer begins with a u32 result.

swtpm, ``man swtpm_ioctls`` and ``include/swtpm/tpm_ioctl.h``.  One client at a time; the data
channel is never touched, since closing it would end an swtpm that runs with ``--terminate``.
"""

from __future__ import annotations

import enum
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2etrust_nova.errors import VtpmError

#: ``PTM_INIT_FLAG_DELETE_VOLATILE``: forget what an earlier run left.
DELETE_VOLATILE = 1
#: Bytes of one CMD_HASH_DATA (``sizeof(ptm_hdata.u.req.data)``).
HASH_CHUNK = 4096
_U32 = struct.Struct(">I")


class Command(enum.IntEnum):
    """The commands in use, by the numbers of ``tpm_ioctl.h``."""

    INIT = 2
    HASH_START = 6
    HASH_DATA = 7
    HASH_END = 8
    STORE_VOLATILE = 10
    STOP = 14


class ControlChannel:
    """A connection to one swtpm's control socket; every answer's result is checked."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def command(self, command: Command, body: bytes = b"") -> None:
        """Send one command and take its answer.

        :raises VtpmError: swtpm refuses, hangs up or does not answer in time.
        """
        try:
            self._connection.sendall(_U32.pack(command) + body)
            (result,) = _U32.unpack(self._receive(_U32.size))
        except OSError as exc:
            raise VtpmError(f"vTPM control: {command.name}: {exc.strerror or exc}") from exc
        if result != 0:
            raise VtpmError(f"vTPM refuses {command.name} with result {result:#x}")

    def initialise(self, flags: int = 0) -> None:
        """CMD_INIT: power on (_TPM_INIT)."""
        self.command(Command.INIT, _U32.pack(flags))

    def hash_sequence(self, data: bytes) -> None:
        """_TPM_Hash_Start, _TPM_Hash_Data, _TPM_Hash_End: the last one before startup counts."""
        self.command(Command.HASH_START)
        for at in range(0, len(data), HASH_CHUNK):
            chunk = data[at : at + HASH_CHUNK]
            self.command(Command.HASH_DATA, _U32.pack(len(chunk)) + chunk)
        self.command(Command.HASH_END)

    def store_volatile(self) -> None:
        self.command(Command.STORE_VOLATILE)

    def stop(self) -> None:
        self.command(Command.STOP)

    def _receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._connection.recv(size - len(data))
            if not part:
                raise OSError("swtpm hung up")
            data += part
        return data


@contextmanager
def connect(path: Path, timeout: float = 5.0) -> Iterator[ControlChannel]:
    """Connect to a control socket.

    :raises VtpmError: nobody answers there.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(str(path))
        except OSError as exc:
            raise VtpmError(f"vTPM control socket: {exc.strerror}") from exc
        yield ControlChannel(connection)
