# SPDX-License-Identifier: Apache-2.0
"""A host's verdict on what systemd measured after the firmware."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
import yaml

from e2etrust_core.appraisal.policy import parse_policy, selection_of
from e2etrust_core.appraisal.policy_proposal import propose_policy
from e2etrust_core.appraisal.recorded import RecordedAppraisal, appraise_again
from e2etrust_core.evidence.model import MAX_LATER_LOG
from tests.unit.core.appraisal.test_appraise import DOMAIN, LOG, NONCE, Host, failed
from tests.unit.core.evidence.test_canonical_log import phase, sequence

PHASES = ("enter-initrd", "leave-initrd", "sysinit")
POLICY = """name: compute
hosts: ["*"]
event_log_pcrs: [0, 4]
events:
  pcrs: [11]
  rules:
    - {type: systemd, pcr: 11, text: [enter-initrd, leave-initrd, sysinit, ready], times: [1, 4]}
"""


class Measured(Host):
    """A host on which systemd measured phases into PCR 11."""

    def __init__(self) -> None:
        super().__init__()
        self.policy = parse_policy(POLICY)
        self.selection = selection_of(self.policy)
        for text in PHASES:
            self.extend(text)
        self.later = sequence(*map(phase, PHASES))

    def extend(self, text: str, pcr: int = 11) -> None:
        digest = hashlib.sha256(text.encode()).digest()
        bank = self.tpm.pcrs["sha256"]
        bank[pcr] = hashlib.sha256(bank[pcr] + digest).digest()

    def evidence(self, nonce: bytes = NONCE):
        return replace(super().evidence(nonce), later_log=self.later)


@pytest.fixture
def host() -> Measured:
    return Measured()


def test_rules_speak_of_what_systemd_measured(host):
    assert host.appraise().verdict.trusted


def test_record_that_came_after_the_quote_is_not_counted(host):
    host.later += sequence(phase("ready"), phase("unknown"))
    assert host.appraise().verdict.trusted


def test_measurement_that_has_no_record_fails(host):
    host.extend("ready")
    assert failed(host.appraise())["event-log"] == "EVENT_LOG_MISMATCH"


def test_log_that_is_not_sent_fails_where_its_pcrs_are_ruled(host):
    host.later = None
    assert failed(host.appraise())["event-log"] == "EVENT_LOG_MISMATCH"


def test_record_that_no_rule_accepts_is_named_behind_the_firmwares_events(host):
    host.extend("emergency")
    host.later += sequence(phase("emergency"))
    (row,) = host.appraise().verdict.failed
    assert (row.check, row.code) == ("event-policy", "EVENT_UNKNOWN")
    assert row.where == "event 6 (PCR 11, systemd)"


def test_string_of_a_record_is_believed_only_where_it_was_measured(host):
    """What the log says of a digest is its own story."""
    host.extend("emergency")
    told = phase("emergency")
    told["content"]["string"] = "ready"
    host.later += sequence(told)
    (row,) = host.appraise().verdict.failed
    assert (row.check, row.code) == ("event-policy", "EVENT_UNKNOWN")


@pytest.mark.parametrize("later", [b"no json", b" " * (MAX_LATER_LOG + 1)])
def test_log_that_cannot_be_read_is_named_where_it_is_missed_and_only_there(host, later):
    host.later = later
    assert failed(host.appraise())["event-log"] == "LATER_LOG_MALFORMED"
    value = host.tpm.pcrs["sha256"][0].hex()
    values = f"pcrs: {{sha256: {{0: [{value!r}]}}}}"
    host.policy = parse_policy(f"name: x\nhosts: ['*']\nevent_log_pcrs: [0]\n{values}")
    host.selection = selection_of(host.policy)
    assert host.appraise().verdict.trusted


def test_pcr_that_is_not_replayed_says_nothing_of_the_log(host):
    """PCR 15 is asked for by value only: that it was extended by others is no matter here."""
    host.policy = parse_policy(POLICY + f"pcrs: {{sha256: {{15: ['{'00' * 32}']}}}}\n")
    host.selection = selection_of(host.policy)
    host.later += sequence(phase("never extended", 15))
    assert host.appraise().verdict.trusted


def recorded(host: Measured) -> RecordedAppraisal:
    found = host.appraise()
    return RecordedAppraisal(
        host="host1",
        suite=host.suite.name,
        ek_public=host.tpm.ek_public,
        ak_public=host.tpm.ak_public,
        nonce=NONCE,
        selection=host.selection,
        evidence=host.evidence(),
        at="2026-06-01T00:00:00+00:00",
        policy=host.policy.name,
        fingerprint=host.policy.fingerprint,
        checks=found.verdict.checks,
        known_launches=[DOMAIN.launch],
    )


def test_recorded_evidence_is_judged_again_and_learnt_from_with_that_log(host):
    kept = recorded(host)
    assert appraise_again(kept, host.policy).verdict.trusted
    proposed = propose_policy(kept, "learnt", ["*"])
    rules = yaml.safe_load(proposed.text)["events"]["rules"]
    assert [rule["text"] for rule in rules if rule["type"] == "systemd"] == [[t] for t in PHASES]
    assert appraise_again(kept, proposed.policy()).verdict.trusted
    assert kept.evidence.event_log == LOG
