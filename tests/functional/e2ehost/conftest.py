# SPDX-License-Identifier: Apache-2.0
"""Three boots for all tests: a host, the same host once more, and one that was set up otherwise."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.functional.swtpm_fixture import EmulatedTpm, TpmStock

CHECKOUT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(CHECKOUT / "tools"))

from e2eguest import kernel  # noqa: E402
from e2ehost import (  # noqa: E402
    COMMAND_LINE,
    PLAIN,
    POLICY,
    SECURE_BOOT,
    Firmware,
    Machine,
    boot_disk,
    boot_program,
    compile_policy,
)
from tests.functional.e2ehost.recorded_host import Recorded, booted  # noqa: E402


@dataclass(frozen=True)
class Boots:
    """``loaded``: what the golden host says its loaded policy's digest is."""

    golden: Recorded
    permissive: Recorded
    enforcing_again: Recorded
    second: Recorded
    other: Recorded
    loaded: str
    ca: Path


@pytest.fixture(scope="session")
def boots(tmp_path_factory: pytest.TempPathFactory, tpm_stock: TpmStock) -> Boots:
    directory = tmp_path_factory.mktemp("hosts")
    # Where tools/cloud keeps it: it is 27 MB to fetch.
    linux = kernel.fetch(CHECKOUT / ".cloud/cache")
    selinux = compile_policy(POLICY)

    def machine(number: int, firmware: Firmware, command_line: str) -> Machine:
        place = directory / f"host{number}"
        place.mkdir()
        tpm_stock.deliver(number, place / "tpm")
        disk = place / "disk"
        boot_disk(boot_program(linux, selinux, command_line), disk, signed=firmware.secure)
        return Machine(firmware, disk, place / "tpm" / "state", place)

    good = machine(0, SECURE_BOOT, COMMAND_LINE)
    # No Secure Boot, and a parameter more.
    changed = machine(1, PLAIN, COMMAND_LINE + " ima_template=ima-buf")

    def record_changed() -> Recorded:
        with booted(changed) as host:
            return host.record()

    with ThreadPoolExecutor(1) as beside:
        other = beside.submit(record_changed)
        with booted(good) as host:
            golden = host.record()
            said = host.machine.run("sha256sum </sys/fs/selinux/policy")
            host.set_enforcing(False)
            permissive = host.record()
            host.set_enforcing(True)
            again = host.record()
        with booted(good, golden.ak) as host:
            second = host.record()
        loaded = said.split()[0].decode()
        ca = directory / "ca.pem"
        ca.write_bytes(EmulatedTpm(directory, tpm_stock.ca, directory).ca_bundle)
        return Boots(golden, permissive, again, second, other.result(), loaded, ca)
