# SPDX-License-Identifier: Apache-2.0
"""Evidence of a real TPM, recorded by the verifier, and a policy learnt from it."""

from __future__ import annotations

from e2etrust_core import wire
from e2etrust_core.appraisal.policy import parse_policy
from e2etrust_core.appraisal.policy_proposal import propose_policy
from e2etrust_core.appraisal.recorded import RecordedAppraisal, appraise_again
from e2etrust_core.tpm.pcr import extend_pcr
from e2etrust_verifier.db import evidence

OBSERVE = "name: new\nhosts: ['*']\nrecovery: automatic\nobserve: {sha256: [0, 4, 7]}\n"


def recorded(laboratory) -> list[RecordedAppraisal]:
    def work(session):
        rows = [
            evidence.find(session, "host1", one.id) for one in evidence.of_host(session, "host1")
        ]
        return [wire.from_json(RecordedAppraisal, row.record) for row in rows]

    return laboratory.around.db.read(work)


def activate(laboratory, text: str) -> None:
    (laboratory.directory / "policy.d/compute.yaml").write_text(text)


def test_new_host_is_observed_learnt_and_then_trusted(laboratory):
    activate(laboratory, OBSERVE)
    host = laboratory.host()
    host.enrol()
    assert not host.attest().trusted
    (one,) = recorded(laboratory)
    text = propose_policy(one, "learnt", ["host1"]).text + "recovery: automatic\n"
    assert appraise_again(one, parse_policy(text)).verdict.trusted
    activate(laboratory, text)
    assert host.attest().trusted
    extend_pcr(host.tpm, 4, {"sha256": b"x" * 32})
    assert not host.attest().trusted


def test_attestations_that_say_nothing_new_are_not_recorded_again(laboratory):
    host = laboratory.host()
    host.enrol()
    for _ in range(3):
        assert host.attest().trusted
    assert len(recorded(laboratory)) == 1
    extend_pcr(host.tpm, 7, {"sha256": b"x" * 32})
    for _ in range(2):
        assert not host.attest().trusted
    newest, oldest = recorded(laboratory)
    assert (newest.trusted, oldest.trusted) == (False, True)
    assert {c.code for c in newest.checks if c.outcome == "fail"} == {"PCR_MISMATCH"}
    laboratory.later(3601)
    host.attest()
    assert len(recorded(laboratory)) == 3
