# SPDX-License-Identifier: Apache-2.0
"""The launch measurement against a real swtpm, driven as libvirt and QEMU drive it."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2etrust_core.launch import LaunchMeasurement
from e2etrust_nova.errors import VtpmError
from e2etrust_nova.vtpm.control_channel import Command, connect
from e2etrust_nova.vtpm.measurement import measure
from e2etrust_nova.vtpm.process import find_vtpm
from e2etrust_nova.vtpm.volatile_state import remove_stale

INSTANCE = "7c0cd5a2-4a7f-4c3e-9d5e-3f1d1b1f2a10"
MEASUREMENT = LaunchMeasurement(
    INSTANCE, b"f" * 32, b"m" * 32, "lease-1", sealed_header=b"h" * 32, protected_root=b"r" * 32
)
ZERO = bytes(32)


@dataclass
class Vtpm:
    root: Path
    socket: Path
    process: subprocess.Popen[bytes]

    @property
    def control(self) -> Path:
        return Path(f"{self.socket}.ctrl")

    @property
    def volatile(self) -> list[Path]:
        return list((self.root / INSTANCE / "tpm2").glob("*volatilestate"))

    def qemu_powers_on(self) -> None:
        """QEMU's CMD_INIT without flags, as its tpm_emulator sends it."""
        with connect(self.control) as channel:
            channel.initialise()

    def tpm2(self, *argv: str) -> str:
        tcti = f"swtpm:path={self.socket}"
        done = subprocess.run(
            argv, env={"TPM2TOOLS_TCTI": tcti, "PATH": "/usr/bin"}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def pcr0(self, bank: str) -> bytes:
        text = self.tpm2("tpm2_pcrread", f"{bank}:0")
        return bytes.fromhex(text.split("0x")[1].strip())


@pytest.fixture
def vtpm(tmp_path: Path) -> Iterator[Vtpm]:
    state = tmp_path / INSTANCE / "tpm2"
    state.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="vtpm") as short:
        socket = Path(short, "s")
        process = subprocess.Popen(
            [
                *("swtpm", "socket", "--tpm2"),
                *("--tpmstate", f"dir={state},mode=0600"),
                *("--server", f"type=unixio,path={socket}"),
                *("--ctrl", f"type=unixio,path={socket}.ctrl,mode=0600"),
            ],
            stdin=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 20
        while not Path(f"{socket}.ctrl").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield Vtpm(tmp_path, socket, process)
        process.kill()
        process.wait()


@pytest.mark.parametrize("bank", ["sha256", "sha1"])
def test_pcr0_starts_from_the_launch_measurement(vtpm: Vtpm, bank: str) -> None:
    measure(vtpm.control, MEASUREMENT)
    vtpm.qemu_powers_on()
    vtpm.tpm2("tpm2_startup", "--clear")
    assert vtpm.pcr0(bank) == MEASUREMENT.hcrtm_pcr0(bank)


def test_guest_reset_keeps_the_measurement(vtpm: Vtpm) -> None:
    measure(vtpm.control, MEASUREMENT)
    for _ in range(2):
        vtpm.qemu_powers_on()
        vtpm.tpm2("tpm2_startup", "--clear")
        assert vtpm.pcr0("sha256") == MEASUREMENT.hcrtm_pcr0()
        with connect(vtpm.control) as channel:
            channel.stop()


def test_measuring_again_replaces_the_first_measurement(vtpm: Vtpm) -> None:
    other = LaunchMeasurement(INSTANCE, b"F" * 32, b"m" * 32, "lease-2")
    measure(vtpm.control, MEASUREMENT)
    measure(vtpm.control, other)
    vtpm.qemu_powers_on()
    vtpm.tpm2("tpm2_startup", "--clear")
    assert vtpm.pcr0("sha256") == other.hcrtm_pcr0()


def test_stale_volatile_state_is_removed_and_brings_nothing_back(vtpm: Vtpm) -> None:
    measure(vtpm.control, MEASUREMENT)
    assert vtpm.volatile
    assert remove_stale(INSTANCE, vtpm.root) == 1
    assert not vtpm.volatile
    vtpm.qemu_powers_on()
    vtpm.tpm2("tpm2_startup", "--clear")
    assert vtpm.pcr0("sha256") == ZERO


def test_linked_state_directory_is_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "tpm2-00.volatilestate").write_bytes(b"x")
    (tmp_path / INSTANCE).mkdir()
    (tmp_path / INSTANCE / "tpm2").symlink_to(elsewhere)
    with pytest.raises(VtpmError):
        remove_stale(INSTANCE, tmp_path)
    assert (elsewhere / "tpm2-00.volatilestate").exists()


def test_the_vtpm_of_a_server_is_found_by_its_state_directory(vtpm: Vtpm) -> None:
    found = find_vtpm(INSTANCE, vtpm.root)
    assert (found.pid, found.control_socket) == (vtpm.process.pid, vtpm.control)
    assert not found.incoming


def test_a_server_without_vtpm_process_is_an_error() -> None:
    with pytest.raises(VtpmError):
        find_vtpm("00000000-0000-4000-8000-000000000000")


def test_a_command_that_swtpm_refuses_is_an_error(vtpm: Vtpm) -> None:
    with connect(vtpm.control) as channel, pytest.raises(VtpmError, match="HASH_DATA"):
        channel.command(Command.HASH_DATA, b"\0\0\0\1x")


def test_nobody_at_the_control_socket_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(VtpmError):
        measure(tmp_path / "none", MEASUREMENT)
