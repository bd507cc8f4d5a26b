# SPDX-License-Identifier: Apache-2.0
"""The whole chain on two real TPMs: a host's, and a guest's that was measured before it started.

The guest's side is the product's own script; its firmware is a few extends with their log.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from e2etrust_core.appraisal.server import verify_server
from e2etrust_core.evidence.credential import make_credential
from e2etrust_core.evidence.model import GuestEvidence, GuestIdentity, HostEvidence, Quote
from e2etrust_core.evidence.tpm_structures import name_of
from e2etrust_core.launch import (
    LaunchMeasurement,
    LaunchRequest,
    launch_binding,
    server_binding,
)
from e2etrust_core.messages import LaunchRecord, LeaseGrant, ServerEvidence
from e2etrust_core.suites import ECC_P256_SHA256
from e2etrust_core.tpm.device import Tpm
from e2etrust_core.tpm.keys import create_ak, read_ek
from e2etrust_core.tpm.pcr import extend_pcr
from e2etrust_core.tpm.quote import take_quote
from e2etrust_nova.vtpm.control_channel import connect
from e2etrust_nova.vtpm.measurement import measure
from tests.functional.swtpm_fixture import EmulatedTpm
from tests.unit.core.event_log_writer import agile_log, event

SCRIPT = Path(__file__).parents[3] / "guest" / "e2etrust-guest-evidence"
HOST_PCRS = {"sha256": list(range(10))}
MEASUREMENT = LaunchMeasurement("vm-1", b"f" * 32, b"m" * 32, "lease-1")
FIRMWARE = [(0, 8, b"\1" * 32), (4, 8, b"\2" * 32), (7, 1, b"\3" * 32)]


class Guest:
    """A guest with a vTPM: measured, powered on, its firmware run."""

    def __init__(self, vtpm: EmulatedTpm, folder: Path, measured: LaunchMeasurement) -> None:
        control = Path(f"{vtpm.socket}.ctrl")
        vtpm.power_off()
        vtpm.power_on(flags="")
        measure(control, measured)
        with connect(control) as channel:
            channel.initialise()
        self.environment = {
            **os.environ,
            "TPM2TOOLS_TCTI": vtpm.tcti,
            "E2ETRUST_EVENT_LOG": str(folder / "log"),
            "E2ETRUST_GUEST_KEYS": str(folder / "keys"),
        }
        subprocess.run(["tpm2_startup", "-c", "-T", vtpm.tcti], check=True)
        for pcr, _, digest in FIRMWARE:
            extend_pcr(Tpm(vtpm.tcti), pcr, {"sha256": digest})
        (folder / "log").write_bytes(agile_log(*(event(*one) for one in FIRMWARE)))
        self.tcti = vtpm.tcti

    def run(self, *arguments: str) -> dict[str, str]:
        done = subprocess.run(
            ["sh", str(SCRIPT), *arguments], env=self.environment, capture_output=True, text=True
        )
        # What the kernel's resource manager does for a guest.
        subprocess.run(["tpm2_flushcontext", "-t", "-T", self.tcti], check=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def identity(self) -> tuple[GuestIdentity, bytes]:
        said = {k: v and base64.b64decode(v) for k, v in self.run("identity").items()}
        log = said.pop("event_log")
        return GuestIdentity(**said), log

    def evidence(self, nonce: bytes, blob: bytes, encrypted: bytes) -> GuestEvidence:
        identity, log = self.identity()
        parts = [base64.b64encode(part).decode() for part in (blob, encrypted)]
        said = self.run("quote", nonce.hex(), *parts)
        values = {
            bank: {int(index): bytes.fromhex(value) for index, value in pcrs.items()}
            for bank, pcrs in said["pcrs"].items()
        }
        quote = Quote(base64.b64decode(said["attest"]), base64.b64decode(said["signature"]), values)
        return GuestEvidence(identity, quote, log, bytes.fromhex(said["activated"]))


class Host:
    def __init__(self, tcti: str) -> None:
        self.tpm = Tpm(tcti)
        self.ek = read_ek(self.tpm)
        self.ak = create_ak(self.tpm, ECC_P256_SHA256, self.ek.kind)

    def record(self) -> LaunchRecord:
        nonce = secrets.token_bytes(32)
        request = LaunchRequest(MEASUREMENT, "vm", "project", None, "flavor", None)
        quote = take_quote(self.tpm, self.ak, launch_binding(nonce, request, []), HOST_PCRS)
        keys = (self.ek.public, self.ak.public)
        lease = LeaseGrant("lease-1", 60.0)
        evidence = HostEvidence(quote, None, [])
        return LaunchRecord(
            "verifier", 0, "launch-1", "host1", *keys, nonce, evidence, request, lease, "compute"
        )

    def over(self, guest: GuestEvidence, nonce: bytes) -> ServerEvidence:
        binding = server_binding(nonce, "launch-1", guest)
        quote = take_quote(self.tpm, self.ak, binding, HOST_PCRS)
        return ServerEvidence("host1", "launch-1", guest.identity, guest, quote)


@pytest.fixture
def host(swtpm_factory: Callable[[], EmulatedTpm]) -> Host:
    return Host(swtpm_factory().tcti)


@pytest.fixture
def start_guest(
    swtpm_factory: Callable[[], EmulatedTpm], tmp_path: Path
) -> Callable[[LaunchMeasurement], Guest]:
    vtpm = swtpm_factory()
    return lambda measured: Guest(vtpm, tmp_path, measured)


def failed(host: Host, record: LaunchRecord, guest: Guest) -> dict[str, str]:
    nonce, secret = secrets.token_bytes(32), secrets.token_bytes(32)
    identity, _ = guest.identity()
    credential = make_credential(identity.ek_public, name_of(identity.ak_public), secret)
    server = host.over(guest.evidence(nonce, *credential), nonce)
    verdict = verify_server(record, server, nonce, secret, challenged=identity)
    assert verdict.trusted == (not verdict.failed)
    return {row.check: row.code for row in verdict.failed}


def test_measured_guest_on_the_host_of_its_launch_verifies(host, start_guest):
    assert failed(host, host.record(), start_guest(MEASUREMENT)) == {}


def test_guest_of_another_launch_is_refused(host, start_guest):
    guest = start_guest(replace(MEASUREMENT, machine=b"x" * 32))
    assert failed(host, host.record(), guest) == {
        "guest-launch": "LAUNCH_NOT_MEASURED",
        "guest-log": "GUEST_LOG_MISMATCH",
    }


def test_host_that_changed_since_the_launch_is_refused(host, start_guest):
    record = host.record()
    extend_pcr(host.tpm, 9, {"sha256": b"\7" * 32})
    assert failed(host, record, start_guest(MEASUREMENT)) == {"host-quote": "HOST_CHANGED"}
