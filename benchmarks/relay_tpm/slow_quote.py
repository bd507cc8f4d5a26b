# SPDX-License-Identifier: Apache-2.0
"""A way to an emulated TPM on which TPM2_Quote takes as long as a chip takes to sign.

All else is as quick as the emulator: chips are slower at that too, so an attestation is shown
shorter here than it would be, by what loading the key and reading the PCRs takes on a chip.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: TPM_CC_Quote (TPM 2.0 Library, part 2, table "TPM_CC Constants").
QUOTE = 0x158
#: tag, size of all, command or response code: the head of every command and response.
HEAD = struct.Struct(">HII")


@dataclass(frozen=True)
class Chip:
    """``seconds`` is one signature by its TPM's key; a quote is never less."""

    name: str
    seconds: float


#: For each suite the quickest of the discrete TPMs (Infineon SLB9670, ST ST33TP, Microchip ATTPM20,
#: Nations Z32H330) for which wolfTPM's README.md, "TPM2 Benchmarks", gives "RSA 2048 Private" and
#: "ECDSA 256 sign" on SPI.  It has no figure for SM2.
CHIPS = {
    "rsa2048-sha256": Chip("Microchip ATTPM20", 0.117677),
    "ecc-p256-sha256": Chip("Nations Z32H330", 0.023399),
}


@contextlib.contextmanager
def slow_quotes(emulator: Path, own: Path, seconds: float) -> Iterator[str]:
    """Yield a TCTI that reaches *emulator* (a socket of swtpm's) by way of the socket *own*.

    TPM2_Quote is answered no earlier than *seconds* after it was asked.  One client at a time, as
    the emulator itself has it.
    """
    # The TCTI asks the control socket by this name.
    control = Path(f"{own}.ctrl")
    control.symlink_to(f"{emulator}.ctrl")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(own))
    listener.listen(8)
    thread = threading.Thread(target=_serve, args=(listener, emulator, seconds), daemon=True)
    thread.start()
    try:
        yield f"swtpm:path={own}"
    finally:
        # Closing it would not wake the thread that waits in accept.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=10)
        listener.close()
        for path in (own, control):
            path.unlink(missing_ok=True)


def _serve(listener: socket.socket, emulator: Path, seconds: float) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with client, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as tpm:
            tpm.connect(str(emulator))
            # A client that leaves in the middle is no matter of the next one's.
            with contextlib.suppress(OSError):
                while (command := _message(client)) is not None:
                    began = time.monotonic()
                    tpm.sendall(command)
                    answer = _message(tpm)
                    if answer is None:
                        break
                    if HEAD.unpack_from(command)[2] == QUOTE:
                        time.sleep(max(0.0, began + seconds - time.monotonic()))
                    client.sendall(answer)


def _message(stream: socket.socket) -> bytes | None:
    """Return the next command or response; None at its end."""
    head = _exactly(stream, HEAD.size)
    if head is None:
        return None
    rest = _exactly(stream, HEAD.unpack(head)[1] - HEAD.size)
    return None if rest is None else head + rest


def _exactly(stream: socket.socket, size: int) -> bytes | None:
    taken = b""
    while len(taken) < size:
        part = stream.recv(size - len(taken))
        if not part:
            return None
        taken += part
    return taken
