# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import pytest

from e2etrust_core.appraisal.appraise import appraise_host
from e2etrust_core.appraisal.model import HostPolicy
from e2etrust_core.appraisal.policy import selection_of
from e2etrust_core.appraisal.policy_events import parse_events
from e2etrust_core.appraisal.reference import ClockSeen, HostReference
from e2etrust_core.evidence.event_log import EVTYPE_PCRMAPPING, parse_event_log
from e2etrust_core.evidence.events.kinds import EVTYPE_HASH_START, EVTYPE_MLE_HASH
from e2etrust_core.evidence.model import MAX_DOMAINS, HostEvidence, Quote, RunningDomain
from e2etrust_core.evidence.replay import replay
from e2etrust_core.launch import attest_binding
from e2etrust_core.suites import ECC_P256_SHA256, RSA2048_SHA256
from tests.unit.core.event_log_writer import agile_log, event
from tests.unit.core.software_tpm import SoftwareTpm

NONCE = bytes(range(32))
LOG = agile_log(event(0, 8, b"\1" * 32), event(4, 8, b"\2" * 32))
QUOTE_ROWS = [
    "quote-structure",
    "quote-signer",
    "quote-signature",
    "quote-nonce",
    "quote-selection",
    "quote-digest",
]
DOMAIN = RunningDomain("1b4e28ba", "instance-1", demands_trust=True, launch="launch-1")


class Host:
    """A host whose TPM and log agree with its policy, until a test changes one of them."""

    def __init__(self):
        self.tpm = SoftwareTpm()
        self.tpm.pcrs["sha256"].update(replay(parse_event_log(LOG), "sha256"))
        values = self.tpm.pcrs["sha256"]
        self.policy = HostPolicy(
            "compute", ["*"], {"sha256": {7: [bytes(32), values[7]], 9: [values[9]]}}, [0, 4]
        )
        self.selection = selection_of(self.policy)
        self.last: ClockSeen | None = None
        self.log: bytes | None = LOG
        self.domains: list[RunningDomain] = [DOMAIN]
        self.suite = ECC_P256_SHA256

    def evidence(self, nonce: bytes = NONCE) -> HostEvidence:
        quote = self.tpm.quote(attest_binding(nonce, self.domains), self.selection)
        return HostEvidence(quote, self.log, list(self.domains))

    def appraise(self, evidence: HostEvidence | None = None):
        evidence = evidence or self.evidence()
        reference = HostReference(
            "host1", self.tpm.ek_public, self.tpm.ak_public, self.suite, self.last
        )
        binding = attest_binding(NONCE, evidence.domains)
        return appraise_host(
            reference, self.policy, evidence, binding, selection_of(self.policy), {"launch-1"}
        )


@pytest.fixture
def host() -> Host:
    return Host()


def failed(appraisal) -> dict[str, str]:
    assert not appraisal.verdict.trusted
    return {row.check: row.code for row in appraisal.verdict.failed}


def test_good_host_is_trusted_with_a_row_a_check(host):
    appraisal = host.appraise()
    assert appraisal.verdict.trusted
    assert appraisal.genuine
    assert [row.check for row in appraisal.verdict.checks] == [
        *QUOTE_ROWS,
        "clock",
        "event-log",
        "pcr-policy",
        "running-domains",
    ]
    assert appraisal.clock == ClockSeen(1000, 5, 0)


def test_pcr_of_which_no_value_is_accepted_makes_a_policy_empty(host):
    host.policy = replace(host.policy, pcrs={"sha256": {**host.policy.pcrs["sha256"], 9: []}})
    assert failed(host.appraise()) == {"pcr-policy": "POLICY_EMPTY"}


def test_log_for_which_the_policy_names_no_bank_proves_nothing(host):
    host.policy = HostPolicy("observing", ["*"], {}, [0, 4], observe={"sha256": [0, 4]})
    host.selection = selection_of(host.policy)
    assert failed(host.appraise()) == {"event-log": "POLICY_EMPTY", "pcr-policy": "POLICY_EMPTY"}


@pytest.mark.parametrize(
    ("row", "code", "damage"),
    [
        ("quote-structure", "QUOTE_MALFORMED", lambda q: replace(q, attest=q.attest[:-1])),
        ("quote-structure", "QUOTE_MAGIC", lambda q: replace(q, attest=b"\0" + q.attest)),
        ("quote-structure", "QUOTE_MALFORMED", lambda q: replace(q, signature=b"")),
        (
            "quote-signature",
            "SIGNATURE_WRONG",
            lambda q: replace(q, signature=q.signature[:-1] + bytes([q.signature[-1] ^ 1])),
        ),
        ("quote-selection", "SELECTION_MISMATCH", lambda q: replace(q, pcrs={})),
        (
            "quote-digest",
            "PCR_DIGEST_MISMATCH",
            lambda q: replace(q, pcrs={"sha256": dict.fromkeys(q.pcrs["sha256"], bytes(32))}),
        ),
    ],
)
def test_what_stands_on_a_failed_check_is_not_reached_and_never_passes(host, row, code, damage):
    good = host.evidence()
    appraisal = host.appraise(replace(good, quote=damage(good.quote)))
    rows = appraisal.verdict.checks
    at = [one.check for one in rows].index(row)
    assert [one.outcome for one in rows] == ["pass"] * at + ["fail"] * (len(rows) - at)
    assert rows[at].code == code
    assert {one.code for one in rows[at + 1 :]} == {"NOT_REACHED"}
    assert appraisal.facts is None
    assert appraisal.clock is None


def test_quote_of_another_host_is_not_genuine(host):
    other = Host()
    appraisal = host.appraise(other.evidence())
    assert failed(appraisal)["quote-signer"] == "AK_FOREIGN"
    assert not appraisal.genuine


def test_quote_for_an_earlier_challenge_is_not_genuine(host):
    appraisal = host.appraise(host.evidence(bytes(32)))
    assert failed(appraisal)["quote-nonce"] == "NONCE_MISMATCH"
    assert not appraisal.genuine


def test_domains_cannot_be_changed_after_the_quote(host):
    appraisal = host.appraise(replace(host.evidence(), domains=[]))
    assert failed(appraisal)["quote-nonce"] == "NONCE_MISMATCH"


def test_genuine_quote_with_wrong_values_stays_the_hosts_own(host):
    good = host.evidence()
    lying = Quote(good.quote.attest, good.quote.signature, {"sha256": {}})
    assert host.appraise(replace(good, quote=lying)).genuine


def test_ak_of_another_suite_than_enrolled_is_refused(host):
    host.suite = RSA2048_SHA256
    assert failed(host.appraise())["quote-structure"] == "AK_REFUSED"


@pytest.mark.parametrize(
    "last", [ClockSeen(0, 6, 0), ClockSeen(0, 5, 1), ClockSeen(1001, 5, 0)], ids=str
)
def test_clock_that_went_back_is_refused(host, last):
    host.last = last
    assert failed(host.appraise()) == {"clock": "CLOCK_WENT_BACK"}


@pytest.mark.parametrize(
    "last", [ClockSeen(1000, 5, 0), ClockSeen(9999, 4, 7), ClockSeen(9, 5, 0)], ids=str
)
def test_clock_that_went_on_is_accepted(host, last):
    host.last = last
    assert host.appraise().verdict.trusted


@pytest.mark.parametrize(
    ("log", "code"),
    [
        (None, "EVENT_LOG_ABSENT"),
        (b"", "EVENT_LOG_MALFORMED"),
        (b"junk" * 99, "EVENT_LOG_MALFORMED"),
        (LOG[:-1], "EVENT_LOG_MALFORMED"),
        (agile_log(event(0, 8, b"\1" * 32)), "EVENT_LOG_MISMATCH"),
        (LOG + event(4, 8, b"\3" * 32), "EVENT_LOG_MISMATCH"),
        (bytes(28) + bytes(4), "EVENT_LOG_BANK_ABSENT"),
    ],
)
def test_log_that_does_not_come_to_the_quoted_values_is_refused(host, log, code):
    host.log = log
    assert failed(host.appraise()) == {"event-log": code}


def test_log_that_nobody_asked_for_is_no_check(host):
    host.policy = replace(host.policy, event_log_pcrs=[])
    host.selection = selection_of(host.policy)
    host.log = b"junk"
    appraisal = host.appraise()
    assert appraisal.verdict.trusted
    assert "event-log" not in [row.check for row in appraisal.verdict.checks]


def test_changed_pcr_is_refused_by_bank_and_index_without_any_value(host):
    expected = host.tpm.pcrs["sha256"][9]
    host.tpm.pcrs["sha256"][9] = b"\xee" * 32
    appraisal = host.appraise()
    assert failed(appraisal) == {"pcr-policy": "PCR_MISMATCH"}
    row = appraisal.verdict.failed[0]
    assert "sha256:9" in row.reason
    assert "sha256:7" not in row.reason
    for value in (expected, b"\xee" * 32):
        assert value.hex()[:8] not in row.reason + row.remedy
    assert appraisal.genuine


@pytest.mark.parametrize("pcrs", [{}, {"sha256": {}}, {"sha256": {9: []}}])
def test_empty_policy_trusts_nobody(host, pcrs):
    host.policy = HostPolicy("empty", ["*"], pcrs)
    appraisal = host.appraise()
    assert not appraisal.verdict.trusted
    assert not any(
        row.outcome == "pass" for row in appraisal.verdict.checks if row.check == "pcr-policy"
    )


@pytest.mark.parametrize("launch", [None, "launch-2", ""])
def test_domain_that_demands_trust_without_a_launch_of_record_is_refused_by_name(host, launch):
    host.domains = [DOMAIN, replace(DOMAIN, instance="feed", name="instance-9\n", launch=launch)]
    appraisal = host.appraise()
    assert failed(appraisal) == {"running-domains": "UNRECORDED_DOMAIN"}
    reason = appraisal.verdict.failed[0].reason
    assert "feed (instance-9?)" in reason
    assert "1b4e28ba" not in reason


def test_reason_names_some_of_very_many_domains_and_counts_the_rest(host):
    """It has to fit where verdicts are written down, or the failure would not be."""
    host.domains = [replace(DOMAIN, instance=f"{n:064}", launch=None) for n in range(1000)]
    row = host.appraise().verdict.failed[0]
    assert row.code == "UNRECORDED_DOMAIN"
    assert "980 more" in row.reason
    assert len(row.reason) < 4000


def test_more_domains_than_any_host_runs_are_refused_unread(host):
    host.domains = [replace(DOMAIN, demands_trust=False)] * (MAX_DOMAINS + 1)
    assert failed(host.appraise()) == {"running-domains": "EVIDENCE_MALFORMED"}


def test_domain_that_demands_nothing_is_nobodys_business(host):
    host.domains = [replace(DOMAIN, demands_trust=False, launch=None)]
    assert host.appraise().verdict.trusted


def with_rules(host: Host, *rules: dict) -> None:
    host.policy = HostPolicy(
        "compute", ["*"], {}, events=parse_events({"pcrs": [0, 4], "rules": [*rules]})
    )
    host.selection = selection_of(host.policy)


def by_digest(pcr: int, digest: bytes) -> dict:
    return {"type": "EV_S_CRTM_VERSION", "pcr": pcr, "digests": [digest.hex()]}


BOTH = (by_digest(0, b"\1" * 32), by_digest(4, b"\2" * 32))


def test_host_whose_events_the_rules_accept_is_trusted_without_pcr_values(host):
    with_rules(host, *BOTH)
    assert selection_of(host.policy) == {"sha256": [0, 4]}
    appraisal = host.appraise()
    assert appraisal.verdict.trusted
    names = [row.check for row in appraisal.verdict.checks]
    assert names[-3:] == ["event-log", "event-policy", "running-domains"]


def test_event_that_no_rule_accepts_fails_the_host_and_is_named(host):
    with_rules(host, BOTH[0])
    appraisal = host.appraise()
    assert failed(appraisal) == {"event-policy": "EVENT_UNKNOWN"}
    assert appraisal.verdict.failed[0].where == "event 2 (PCR 4, EV_S_CRTM_VERSION)"


def test_rules_are_not_held_against_a_log_that_is_not_quoted(host):
    with_rules(host, *BOTH)
    host.log = agile_log(event(0, 8, b"\1" * 32), event(4, 8, b"\3" * 32))
    assert failed(host.appraise()) == {
        "event-log": "EVENT_LOG_MISMATCH",
        "event-policy": "NOT_REACHED",
    }


def test_host_that_sends_no_log_meets_no_event_rules(host):
    with_rules(host, *BOTH)
    host.log = None
    assert failed(host.appraise()) == {
        "event-log": "EVENT_LOG_ABSENT",
        "event-policy": "NOT_REACHED",
    }


def test_event_rules_do_not_replace_values_that_the_policy_names(host):
    with_rules(host, *BOTH)
    host.policy = replace(host.policy, pcrs={"sha256": {7: [b"\xff" * 32]}})
    host.selection = selection_of(host.policy)
    assert failed(host.appraise()) == {"pcr-policy": "PCR_MISMATCH"}


def test_rules_of_a_bank_that_is_not_quoted_fail(host):
    with_rules(host, *BOTH)
    evidence = host.evidence()
    host.policy = replace(host.policy, events=replace(host.policy.events, bank="sm3_256"))
    assert not host.appraise(evidence).verdict.trusted


TXT_LOG = agile_log(
    event(0, 8, b"\1" * 32),
    event(0xFF, EVTYPE_PCRMAPPING, bytes(32), b"\1\0\0\0"),
    event(17, EVTYPE_HASH_START, b"\3" * 32),
    event(17, EVTYPE_MLE_HASH, b"\4" * 32),
    event(18, EVTYPE_MLE_HASH, b"\5" * 32),
)
TXT_RULES = {
    "pcrs": [17, 18],
    "rules": [
        {"type": "EVTYPE_HASH_START", "pcr": 17, "digests": ["03" * 32]},
        {"type": "EVTYPE_MLE_HASH", "pcr": 17, "digests": ["04" * 32]},
        {"type": "EVTYPE_MLE_HASH", "pcr": 18, "digests": ["05" * 32]},
    ],
}


def behind_txt(host: Host, *, launched: bool) -> None:
    """The host's policy asks for a dynamic launch by event and value; *launched*: there was one."""
    values = replay(parse_event_log(TXT_LOG), "sha256")
    dynamic = {index: values[index] for index in range(17, 23)}
    host.tpm.pcrs["sha256"] |= dynamic if launched else dict.fromkeys(dynamic, b"\xff" * 32)
    host.tpm.pcrs["sha256"][0] = values[0]
    host.policy = HostPolicy(
        "txt", ["*"], {"sha256": {18: [values[18]]}}, [0, 17, 18], events=parse_events(TXT_RULES)
    )
    host.selection = selection_of(host.policy)
    host.log = TXT_LOG


def test_host_behind_a_dynamic_launch_is_trusted_by_its_pcrs_17_and_18(host):
    behind_txt(host, launched=True)
    assert host.selection == {"sha256": [0, 17, 18]}
    assert host.appraise().verdict.trusted


def test_host_whose_log_only_tells_of_a_dynamic_launch_is_refused(host):
    behind_txt(host, launched=False)
    assert failed(host.appraise())["event-log"] == "EVENT_LOG_MISMATCH"


def test_host_that_was_never_launched_dynamically_is_refused_by_the_rules_too(host):
    behind_txt(host, launched=False)
    host.log = agile_log(event(0, 8, b"\1" * 32))
    assert failed(host.appraise())["event-policy"] == "EVENT_MISSING"
