# SPDX-License-Identifier: Apache-2.0
"""The machine: QEMU's emulator, OVMF, its own swtpm, and a console to talk to its first process."""

from __future__ import annotations

import base64
import os
import select
import shutil
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

_OVMF = Path("/usr/share/OVMF")
_UP = b"E2E-HOST up"
_DONE = b"E2E-DONE "
#: Seconds; emulated firmware on a busy machine takes its time.
_BOOT = 180.0
_ANSWER = 60.0


class MachineFailed(RuntimeError):
    """The machine ended, or does not answer; the text ends with what its console said last."""


@dataclass(frozen=True)
class Firmware:
    """OVMF's code, and the variables that a new machine has."""

    code: Path
    variables: Path
    secure: bool


PLAIN = Firmware(_OVMF / "OVMF_CODE_4M.fd", _OVMF / "OVMF_VARS_4M.fd", secure=False)
#: Secure Boot on: PK, KEK and db are the certificate whose key OVMF's package has, for tests.
SECURE_BOOT = Firmware(
    _OVMF / "OVMF_CODE_4M.secboot.fd", _OVMF / "OVMF_VARS_4M.snakeoil.fd", secure=True
)


class Machine:
    """One machine, powered on by ``with`` and cut off at its end; one console command at a time.

    ``tpm_state`` is a directory as swtpm_setup leaves it.  ``directory`` keeps the firmware's
    variables from one boot to the next.
    """

    def __init__(self, firmware: Firmware, disk: Path, tpm_state: Path, directory: Path) -> None:
        self.firmware, self.disk = firmware, disk
        self._tpm_state = tpm_state
        self._variables = directory / "variables.fd"
        self._processes: list[subprocess.Popen[bytes]] = []
        self._sockets: tempfile.TemporaryDirectory[str] | None = None
        self._said = b""
        self._lock = threading.Lock()

    def __enter__(self) -> Machine:
        if not self._variables.exists():
            shutil.copy(self.firmware.variables, self._variables)
        self._sockets = tempfile.TemporaryDirectory(prefix="host")
        try:
            self._power_on(Path(self._sockets.name, "tpm"))
            self._until(_UP, _BOOT)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
        self._processes.clear()
        if self._sockets is not None:
            self._sockets.cleanup()

    def run(self, line: str) -> bytes:
        """What a line of shell says on the machine.

        :raises MachineFailed: it failed, or the machine did.
        """
        with self._lock:
            stdin = self._processes[-1].stdin
            assert stdin is not None
            stdin.write(line.encode() + b"\n")
            stdin.flush()
            before = self._until(_DONE, _ANSWER)
            status = self._until(b"\n", _ANSWER).strip()
        if status != b"0":
            raise MachineFailed(f"{line[:80]!r} ended with {status!r}: {before[-500:]!r}")
        return before

    def read(self, path: str) -> bytes:
        """A file of the machine."""
        return base64.b64decode(self.run(f"base64 {path}"))

    def tell_tpm(self, command: bytes) -> bytes:
        """The TPM's response, by way of the machine's own kernel (/dev/tpmrm0)."""
        return base64.b64decode(self.run(f"tpm {command.hex()}"))

    def _power_on(self, tpm: Path) -> None:
        swtpm = ["swtpm", "socket", "--tpm2", f"--tpmstate=dir={self._tpm_state}"]
        self._processes.append(
            subprocess.Popen(
                [*swtpm, f"--ctrl=type=unixio,path={tpm}"],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # a line for each disconnection
            )
        )
        deadline = time.monotonic() + 20
        while not tpm.exists():
            if self._processes[0].poll() is not None or time.monotonic() > deadline:
                raise MachineFailed("swtpm does not listen")
            time.sleep(0.01)
        self._processes.append(
            subprocess.Popen(
                self._qemu(tpm),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        )

    def _qemu(self, tpm: Path) -> list[str]:
        firmware = self.firmware
        # Variables that only firmware can write are what Secure Boot stands on.
        secure = ["-global", "driver=cfi.pflash01,property=secure,value=on"]
        pflash = "if=pflash,format=raw"
        return [
            *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot", "-nographic"),
            *("-machine", f"q35,accel=tcg,smm={'on' if firmware.secure else 'off'}"),
            *("-cpu", "qemu64", "-m", "256", "-nic", "none"),
            *(secure if firmware.secure else []),
            *("-drive", f"{pflash},unit=0,readonly=on,file={firmware.code}"),
            *("-drive", f"{pflash},unit=1,file={self._variables}"),
            *("-drive", f"if=none,id=disk,format=raw,readonly=on,file={self.disk}"),
            *("-device", "virtio-blk-pci,drive=disk,bootindex=1"),
            *("-chardev", f"socket,id=tpm,path={tpm}", "-tpmdev", "emulator,id=tpm0,chardev=tpm"),
            *("-device", "tpm-crb,tpmdev=tpm0"),
            *("-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"),
        ]

    def _until(self, word: bytes, seconds: float) -> bytes:
        """What the console says before *word*, which is taken as well."""
        stdout = self._processes[-1].stdout
        assert stdout is not None
        deadline = time.monotonic() + seconds
        while word not in self._said:
            left = deadline - time.monotonic()
            ready = left > 0 and select.select([stdout], [], [], left)[0]
            more = os.read(stdout.fileno(), 65536) if ready else b""
            if not more:
                end = self._said[-2000:].decode(errors="replace")
                raise MachineFailed(f"the machine does not say {word.decode()!r}; it said: {end}")
            self._said += more
        before, _, self._said = self._said.partition(word)
        return before
