# SPDX-License-Identifier: Apache-2.0
"""A real TPM emulator for tests: made like a chip with an EK certificate, then powered on.

``swtpm`` is one TPM's TCTI string; ``swtpm_factory`` makes as many TPMs as a test needs; ``chip``
is one for a module.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

_CONF = """statedir = {ca}
signingkey = {ca}/signkey.pem
issuercert = {ca}/issuercert.pem
certserial = {ca}/certserial
"""
_SETUP_CONF = """create_certs_tool = /usr/bin/swtpm_localca
create_certs_tool_config = {ca}/localca.conf
create_certs_tool_options = {ca}/localca.options
active_pcr_banks = sha1,sha256
"""
_OPTIONS = """--platform-manufacturer Test
--platform-version 1
--platform-model swtpm
"""


@dataclass
class EmulatedTpm:
    """One TPM: its state on disk, its power, the TCTI that reaches it."""

    directory: Path
    ca: Path
    #: Unix socket paths are short: pytest's own directories are not.
    socket: Path
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def tcti(self) -> str:
        return f"swtpm:path={self.socket}"

    @property
    def ca_bundle(self) -> bytes:
        """PEM of the authority that certified the EK, and its root."""
        return b"".join(
            (self.ca / name).read_bytes()
            for name in ("issuercert.pem", "swtpm-localca-rootca-cert.pem")
        )

    def manufacture(self) -> None:
        """Make EKs and their certificates (RSA 2048 in NV 0x01C00002)."""
        state, config = self.directory / "state", self.ca / "setup.conf"
        state.mkdir(parents=True)
        if not config.exists():
            self.ca.mkdir(exist_ok=True)
            config.write_text(_SETUP_CONF.format(ca=self.ca))
            (self.ca / "localca.conf").write_text(_CONF.format(ca=self.ca))
            (self.ca / "localca.options").write_text(_OPTIONS)
        command = ["swtpm_setup", "--tpm2", "--tpmstate", str(state), "--config", str(config)]
        made = subprocess.run(
            [*command, "--create-ek-cert", "--pcr-banks", "sha1,sha256", "--overwrite"],
            capture_output=True,
            text=True,
        )
        assert made.returncode == 0, made.stdout + made.stderr

    def power_on(self, flags: str = "not-need-init,startup-clear") -> None:
        """Start the TPM; it does TPM2_Startup(CLEAR) by itself, as after a platform reset.

        :param flags: empty for a vTPM, which waits for its machine to initialise it.
        """
        control = Path(f"{self.socket}.ctrl")
        self.process = subprocess.Popen(
            [
                "swtpm",
                "socket",
                "--tpm2",
                f"--tpmstate=dir={self.directory / 'state'}",
                f"--server=type=unixio,path={self.socket}",
                f"--ctrl=type=unixio,path={control}",
                *([f"--flags={flags}"] if flags else []),
            ],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # a line for each disconnection
        )
        deadline = time.monotonic() + 20
        while not (self.socket.exists() and control.exists()):
            assert self.process.poll() is None, "swtpm ended at once"
            assert time.monotonic() < deadline, "swtpm does not listen"
            time.sleep(0.01)

    def power_off(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        for path in (self.socket, Path(f"{self.socket}.ctrl")):
            path.unlink(missing_ok=True)

    def power_cycle(self) -> None:
        """PCRs are reset, keys stay, resetCount goes up."""
        self.power_off()
        self.power_on()


@dataclass
class TpmStock:
    """TPMs as they leave the factory: what takes longest is done once and copied.

    The first TPM of one test is the first of another again, keys and all, with a life of its own
    from then on.
    """

    directory: Path
    made: list[Path] = field(default_factory=list)

    @property
    def ca(self) -> Path:
        return self.directory / "ca"

    def deliver(self, number: int, to: Path) -> None:
        """Put the state of the TPM with that *number* into the directory *to*."""
        while len(self.made) <= number:
            place = self.directory / f"{len(self.made)}"
            EmulatedTpm(place, self.ca, self.directory / "unused").manufacture()
            self.made.append(place)
        shutil.copytree(self.made[number], to)


@pytest.fixture(scope="session")
def tpm_stock(tmp_path_factory: pytest.TempPathFactory) -> TpmStock:
    return TpmStock(tmp_path_factory.mktemp("tpm-stock"))


@pytest.fixture(scope="module")
def chip(tmp_path_factory: pytest.TempPathFactory, tpm_stock: TpmStock) -> Iterator[EmulatedTpm]:
    """One TPM for all tests of a module, powered on."""
    place = tmp_path_factory.mktemp("chip") / "tpm"
    tpm_stock.deliver(0, place)
    with tempfile.TemporaryDirectory(prefix="tpm") as sockets:
        made = EmulatedTpm(place, tpm_stock.ca, Path(sockets) / "0")
        made.power_on()
        yield made
        made.power_off()


@pytest.fixture
def swtpm_factory(tmp_path: Path, tpm_stock: TpmStock) -> Iterator[Callable[[], EmulatedTpm]]:
    """Return a function that makes one more TPM; all share one certificate authority."""
    made: list[EmulatedTpm] = []
    with tempfile.TemporaryDirectory(prefix="tpm") as sockets:

        def make() -> EmulatedTpm:
            number = len(made)
            place = tmp_path / f"tpm{number}"
            tpm_stock.deliver(number, place)
            tpm = EmulatedTpm(place, tpm_stock.ca, Path(sockets) / f"{number}")
            tpm.power_on()
            made.append(tpm)
            return tpm

        yield make
        for tpm in made:
            tpm.power_off()


@pytest.fixture
def emulated_tpm(swtpm_factory: Callable[[], EmulatedTpm]) -> EmulatedTpm:
    """One TPM, powered on, with RSA and ECC EKs."""
    return swtpm_factory()


@pytest.fixture
def swtpm(emulated_tpm: EmulatedTpm) -> str:
    """The TCTI string of one TPM."""
    return emulated_tpm.tcti
