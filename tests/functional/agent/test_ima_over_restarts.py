# SPDX-License-Identifier: Apache-2.0
"""An IMA list that goes on over restarts of agent and verifier, as processes with a real TPM."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from e2etrust_core.evidence.ima_frames import split_ima_list
from e2etrust_core.tpm.device import open_tpm
from e2etrust_core.tpm.pcr import extend_pcr, read_pcrs
from tests.functional.agent.stack import Stack, until
from tests.functional.rabbitmq_fixture import Broker
from tests.functional.swtpm_fixture import EmulatedTpm
from tests.functional.verifier.conftest import write_policy
from tests.unit.core.appraisal.test_dm_checks import LINEAR, load, resume, table
from tests.unit.core.appraisal.test_ima_measured_keys import certificate, signed
from tests.unit.core.ima_writer import buf, extended, ng

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the agent's socket is for root")

IMA = "{allow: [files.sha256], buffers: [{name: .ima, anything: true, verifies: true}]}"
TABLES = "[{name: vg-a, targets: [linear], required: true}]"


def measure(stack: Stack, path: Path, *entries: bytes) -> None:
    """Do as the kernel does: into PCR 10, and behind the list."""
    with open_tpm(stack.tpm.tcti) as tpm:
        for one in entries:
            extend_pcr(tpm, 10, {"sha256": extended(split_ima_list(one).entry(0).hashed)})
            path.write_bytes(path.read_bytes() + one)


def offset(stack: Stack) -> int:
    rows = stack.select("SELECT ima FROM host_states WHERE ima IS NOT NULL")
    return json.loads(rows[0][0])["offset"] if rows else 0


@pytest.fixture
def stack(rabbitmq: Broker, emulated_tpm: EmulatedTpm, tmp_path: Path) -> Iterator[Stack]:
    """Agent and verifier, not started yet."""
    made = Stack(tmp_path, emulated_tpm, rabbitmq)
    try:
        yield made
    finally:
        made.end()


def test_only_what_is_new_is_read_though_both_were_restarted_in_between(stack: Stack):
    path, key = stack.directory / "ima", ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(b"")
    with open_tpm(stack.tpm.tcti) as tpm:
        values = read_pcrs(tpm, {"sha256": list(range(10))})["sha256"]
    measured = table("vg-a", LINEAR)
    begin = [ng("boot_aggregate", b"".join(values[n] for n in range(10)))]
    begin += [ng("/usr/bin/ls", b"ls"), buf(".ima", certificate(key)), *load(measured)]
    measure(stack, path, *begin, resume("vg-a", measured))
    write_policy(stack.directory, stack.tpm, lease_seconds=60, ima=IMA, device_mapper=TABLES)
    allowed = f"{hashlib.sha256(b'ls').hexdigest()}  /usr/bin/ls\n"
    (stack.directory / "policy.d/files.sha256").write_text(allowed)
    config = stack.directory / "agent.conf"
    config.write_text(config.read_text() + f"ima_list = {path}\n")
    stack.start("verifier", "agent")
    whole = len(path.read_bytes())
    until(lambda: offset(stack) == whole, "the list was not accepted")

    stack.stop("agent")
    stack.stop("verifier")
    measure(stack, path, signed("/opt/new", b"new", key))
    # Whoever read what was good before would find this.
    path.write_bytes(b"\xff" * whole + path.read_bytes()[whole:])
    stack.start("verifier", "agent")
    end = len(path.read_bytes())
    until(lambda: offset(stack) == end, "what was new was not accepted")
    assert stack.client.attest().trusted

    path.write_bytes(path.read_bytes()[:whole])  # cut behind what was seen
    measure(stack, path, ng("/usr/bin/ls", b"ls"))
    assert not stack.client.attest().trusted
    assert offset(stack) == 0
