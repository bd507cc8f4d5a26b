# SPDX-License-Identifier: Apache-2.0
"""Event rules on a real TPM: from the challenge to the verdict that an operator reads."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from e2etrust_core import wire
from e2etrust_core.appraisal.recorded import RecordedAppraisal
from e2etrust_core.tpm.pcr import extend_pcr
from e2etrust_verifier.db import evidence, verdicts
from tests.unit.core.event_log_writer import agile_log, event
from tests.unit.core.evidence.test_canonical_log import phase, sequence

APPLICATION = 0x80000003
LOADER, OTHER = hashlib.sha256(b"loader").digest(), hashlib.sha256(b"other").digest()
POLICY = f"""name: compute
hosts: ["host*"]
recovery: automatic
events:
  pcrs: [4]
  rules:
    - {{type: EV_EFI_BOOT_SERVICES_APPLICATION, pcr: 4, digests: ["{LOADER.hex()}"]}}
    - {{type: systemd, pcr: 4, text: [os-separator], times: optional}}
"""


@pytest.fixture
def host(laboratory):
    (laboratory.directory / "policy.d/compute.yaml").write_text(POLICY)
    enrolled = laboratory.host()
    enrolled.enrol()
    return enrolled


def attest(host, *digests: bytes, later: bytes | None = None):
    challenge = host.challenge()
    assert challenge.event_log
    assert challenge.selection == {"sha256": [4]}
    log = agile_log(*(event(4, APPLICATION, digest, b"a path") for digest in digests))
    answer = host.answer(challenge)
    return host.send(
        replace(answer, evidence=replace(answer.evidence, event_log=log, later_log=later))
    )


def test_host_that_loaded_what_the_policy_accepts_is_trusted(host):
    extend_pcr(host.tpm, 4, {"sha256": LOADER})
    assert attest(host, LOADER).trusted


def test_what_systemd_measured_is_ruled_and_recorded(laboratory, host):
    extend_pcr(host.tpm, 4, {"sha256": LOADER})
    extend_pcr(host.tpm, 4, {"sha256": hashlib.sha256(b"os-separator").digest()})
    later = sequence(phase("os-separator", 4))
    assert not attest(host, LOADER).trusted
    assert attest(host, LOADER, later=later).trusted
    kept = laboratory.around.db.read(
        lambda s: evidence.find(s, "host1", evidence.of_host(s, "host1")[0].id).record
    )
    assert wire.from_json(RecordedAppraisal, kept).evidence.later_log == later


def test_host_that_loaded_something_else_as_well_is_told_which_event(laboratory, host):
    for digest in (LOADER, OTHER):
        extend_pcr(host.tpm, 4, {"sha256": digest})
    result = attest(host, LOADER, OTHER)
    assert not result.trusted
    failed = [check for check in result.checks if check.outcome == "fail"]
    where = "event 2 (PCR 4, EV_EFI_BOOT_SERVICES_APPLICATION)"
    assert [(check.check, check.code, check.where) for check in failed] == [
        ("event-policy", "EVENT_UNKNOWN", where)
    ]
    kept = laboratory.around.db.read(lambda s: verdicts.results(verdicts.last(s, "host1")))
    assert kept == result.checks


def test_event_left_out_of_the_log_does_not_come_to_the_quote(host):
    for digest in (LOADER, OTHER):
        extend_pcr(host.tpm, 4, {"sha256": digest})
    codes = {check.code for check in attest(host, LOADER).checks if check.outcome == "fail"}
    assert codes == {"EVENT_LOG_MISMATCH", "NOT_REACHED"}
