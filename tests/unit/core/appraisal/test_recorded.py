# SPDX-License-Identifier: Apache-2.0
"""Evidence that was recorded, appraised again, and policies that are proposed from it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime

import pytest
import yaml

from e2etrust_core import wire
from e2etrust_core.appraisal.appraise import appraise_host
from e2etrust_core.appraisal.errors import PolicyEmpty
from e2etrust_core.appraisal.policy import parse_policy, selection_of, steady_selection
from e2etrust_core.appraisal.policy_proposal import propose_policy
from e2etrust_core.appraisal.recorded import RecordedAppraisal, appraise_again
from e2etrust_core.appraisal.reference import HostReference
from e2etrust_core.errors import PolicyError
from e2etrust_core.evidence.event_log import parse_event_log
from e2etrust_core.evidence.model import HostEvidence, RunningDomain
from e2etrust_core.evidence.replay import replay
from e2etrust_core.launch import attest_binding
from e2etrust_core.suites import ECC_P256_SHA256
from tests.unit.core.event_log_writer import agile_log, event
from tests.unit.core.software_tpm import SoftwareTpm

NONCE = bytes(range(32))
OBSERVE = "name: new\nhosts: ['*']\nobserve: {sha256: [0, 4, 7, 9, 10]}\n"
DOMAIN = RunningDomain("1b4e28ba", "vm", demands_trust=True, launch="launch-1")
SEPARATOR = hashlib.sha256(bytes(4)).digest()


#: Accepts loaders by digest, with ``more`` behind them.
LOADER_RULE = """name: compute
hosts: ["*"]
events:
  pcrs: [4]
  rules:
    - {{type: EV_EFI_BOOT_SERVICES_APPLICATION, pcr: 4, digests: [{accepted}{more}]}}
    - {{type: EV_SEPARATOR, pcr: 4, data: ["00000000"]}}
"""


def log(*loaders: bytes) -> bytes:
    events = [event(4, 0x80000003, hashlib.sha256(one).digest(), b"path") for one in loaders]
    return agile_log(*events, event(4, 4, SEPARATOR, bytes(4)))


class Host:
    def __init__(self) -> None:
        self.tpm = SoftwareTpm()
        self.boot(b"loader")

    def boot(self, *loaders: bytes) -> None:
        self.log = log(*loaders)
        self.tpm.pcrs["sha256"].update(replay(parse_event_log(self.log), "sha256"))

    def recorded(self, policy_text: str = OBSERVE) -> RecordedAppraisal:
        policy = parse_policy(policy_text)
        selection = selection_of(policy)
        quote = self.tpm.quote(attest_binding(NONCE, [DOMAIN]), selection)
        evidence = HostEvidence(quote, self.log, [DOMAIN])
        keys = self.tpm.ek_public, self.tpm.ak_public
        reference = HostReference("host1", *keys, ECC_P256_SHA256)
        binding = attest_binding(NONCE, [DOMAIN])
        found = appraise_host(reference, policy, evidence, binding, selection, {"launch-1"})
        return RecordedAppraisal(
            host="host1",
            suite=ECC_P256_SHA256.name,
            ek_public=keys[0],
            ak_public=keys[1],
            nonce=NONCE,
            selection=selection,
            evidence=evidence,
            at="2026-01-01T00:00:00+00:00",
            policy=policy.name,
            fingerprint=policy.fingerprint,
            checks=found.verdict.checks,
            known_launches=sorted(found.known_launches),
        )

    @staticmethod
    def digests(*loaders: bytes) -> str:
        return ", ".join(f'"{hashlib.sha256(one).hexdigest()}"' for one in loaders)

    @classmethod
    def window(cls, loader: bytes) -> str:
        return f", {{accept: {cls.digests(loader)}, until: 2026-12-01T00:00:00Z}}"


@pytest.fixture
def host() -> Host:
    return Host()


def codes(recorded: RecordedAppraisal, text: str) -> set[str]:
    return codes_at(recorded, text, None)


def codes_at(recorded: RecordedAppraisal, text: str, at: datetime | None) -> set[str]:
    failed = appraise_again(recorded, parse_policy(text, at=at)).verdict.failed
    return {row.code for row in failed} - {"NOT_REACHED"}


def test_policy_that_only_observes_trusts_nobody_and_wraps_no_key(host):
    policy = parse_policy(OBSERVE)
    assert policy.asks_event_log
    assert selection_of(policy) == {"sha256": [0, 4, 7, 9, 10]}
    assert steady_selection(policy) == {}
    recorded = host.recorded()
    assert not recorded.trusted
    assert codes(recorded, OBSERVE) == {"POLICY_EMPTY"}


@pytest.mark.parametrize("wrong", ["[1]", "{md5: [0]}", "{sha256: [24]}", "{sha256: 0}"])
def test_observe_names_pcrs_of_banks(wrong):
    with pytest.raises(PolicyError, match="observe"):
        parse_policy(f"name: p\nhosts: ['*']\nobserve: {wrong}\n")


def test_appraised_again_by_the_same_policy_the_same_comes_out(host):
    recorded = wire.from_json(RecordedAppraisal, wire.to_json(host.recorded()))
    again = appraise_again(recorded, parse_policy(OBSERVE))
    assert again.verdict.checks == recorded.checks


def test_proposed_policy_accepts_that_host_and_nothing_is_left_open(host):
    recorded = host.recorded()
    proposal = propose_policy(recorded, "learnt", ["host1"])
    assert codes(recorded, proposal.text) == set()
    assert (proposal.event_pcrs, proposal.value_pcrs) == ([4], [0, 7, 9])
    assert proposal.left_out == [10]
    assert proposal.events == 2
    document = yaml.safe_load(proposal.text)
    assert document["hosts"] == ["host1"]
    assert "anything" not in proposal.text


def test_proposed_policy_refuses_what_booted_otherwise(host):
    text = propose_policy(host.recorded(), "learnt", ["*"]).text
    host.boot(b"loader", b"another")
    assert codes(host.recorded(text), text) == {"EVENT_UNKNOWN"}
    host.boot(b"loader")
    host.tpm.pcrs["sha256"][7] = b"\1" * 32
    assert codes(host.recorded(text), text) == {"PCR_MISMATCH"}


def test_log_that_does_not_come_to_the_quote_proposes_values(host):
    recorded = host.recorded()
    other = replace(recorded, evidence=replace(recorded.evidence, event_log=log(b"x")))
    proposal = propose_policy(other, "learnt", ["*"])
    assert (proposal.event_pcrs, proposal.value_pcrs) == ([], [0, 4, 7, 9])


def test_nothing_quoted_that_stays_is_nothing_to_propose(host):
    recorded = host.recorded("name: p\nhosts: ['*']\nobserve: {sha256: [10]}\n")
    with pytest.raises(PolicyEmpty):
        propose_policy(recorded, "learnt", ["*"])


def test_policy_that_asks_for_more_than_was_quoted_is_told_so(host):
    text = propose_policy(host.recorded(), "learnt", ["*"]).text
    narrow = host.recorded("name: p\nhosts: ['*']\nobserve: {sha256: [0]}\n")
    assert codes(narrow, text) == {"SELECTION_MISMATCH"}
