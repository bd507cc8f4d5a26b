# SPDX-License-Identifier: Apache-2.0
"""Challenges, verdicts and leases with real quotes, on both databases."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from e2etrust_core import wire
from e2etrust_core.evidence.model import RunningDomain
from e2etrust_core.messages import RemoteRefusal
from e2etrust_core.tpm.device import Tpm
from e2etrust_core.tpm.pcr import extend_pcr
from e2etrust_verifier.db import events, hosts, verdicts
from e2etrust_verifier.db.models import Answer, Challenge, ChallengeKey
from e2etrust_verifier.housekeeping import prune
from e2etrust_verifier.trust import attestation, leases, operator
from e2etrust_verifier.trust.challenge_keys import ChallengeKeys
from e2etrust_verifier.trust.surroundings import utc_now
from tests.functional.verifier.host import refused

VM = "0a0a0a0a-1111-4222-8333-444444444444"


def tamper(laboratory) -> None:
    extend_pcr(Tpm(laboratory.first.tcti), 9, {"sha256": b"\x66" * 32})


def kinds(laboratory) -> list[str]:
    return [e.kind for e in laboratory.around.db.read(lambda s: events.newest(s, 100))]


def test_good_host_gets_a_lease_and_schedulers_hear_of_it(laboratory, host):
    before = host.delta()
    result = host.attest()
    assert result.trusted
    assert result.lease.seconds == 60
    after = host.delta(before.generation)
    assert [h.host for h in after.hosts] == ["host1"]
    assert not after.full
    assert 50 < after.hosts[0].seconds <= 60
    assert laboratory.told == ["host1"]


def test_nothing_new_is_an_empty_delta_and_an_unknown_generation_gets_all(laboratory, host):
    host.attest()
    now = host.delta()
    assert now.full
    again = host.delta(now.generation)
    assert (again.full, again.hosts, again.generation) == (False, [], now.generation)
    assert host.delta(now.generation + 1000).full
    assert [h.host for h in host.delta(now.generation + 1000).hosts] == ["host1"]


def test_replayed_answer_is_refused_and_the_host_keeps_its_lease(laboratory, host):
    answer = host.answer(host.challenge())
    assert host.send(answer).trusted
    before = host.delta().generation
    with refused("NONCE_UNKNOWN"):
        host.send(answer)
    assert host.delta().generation == before
    assert host.delta().hosts[0].seconds > 50
    assert "evidence-refused" in kinds(laboratory)


def test_forged_answer_does_not_spend_the_nonce_of_the_hosts_own(laboratory, host):
    answer = host.answer(host.challenge())
    signature = bytearray(answer.evidence.quote.signature)
    signature[-1] ^= 1
    quote = replace(answer.evidence.quote, signature=bytes(signature))
    forged = replace(answer, evidence=replace(answer.evidence, quote=quote))
    for _ in range(3):
        with refused("SIGNATURE_WRONG"):
            host.send(forged)
    assert host.send(answer).trusted
    with refused("NONCE_UNKNOWN"):
        host.send(answer)


def test_flood_of_challenges_takes_no_room_and_does_not_push_out_the_hosts_own(laboratory, host):
    answer = host.answer(host.challenge())
    for _ in range(200):
        host.challenge()
    rows = laboratory.around.db.read(lambda s: [s.query(t).count() for t in (Challenge, Answer)])
    assert rows == [0, 0]
    assert host.send(answer).trusted


@pytest.mark.parametrize("where", ["version", "key", "body", "mac", "cut", "longer"])
def test_altered_nonce_is_nobodys(host, where):
    nonce = host.challenge().nonce
    at = {"version": 0, "key": 3, "body": 40, "mac": len(nonce) - 1}
    if where in at:
        altered = bytearray(nonce)
        altered[at[where]] ^= 1
        nonce = bytes(altered)
    else:
        nonce = nonce[:-1] if where == "cut" else nonce + b"\0"
    with refused("NONCE_UNKNOWN"):
        host.send(host.answer(replace(host.challenge(), nonce=nonce)))


def test_nonce_of_another_host_or_of_other_counters_cannot_be_made_of_ones_own(laboratory, host):
    """What a nonce says of host and counters is readable, and worth nothing without the MAC."""
    nonce = host.challenge().nonce
    for old, new in ((b"host1", b"host2"), (b'"purpose":"attest"', b'"purpose":"launch"')):
        assert old in nonce
        with refused("NONCE_UNKNOWN"):
            host.send(host.answer(replace(host.challenge(), nonce=nonce.replace(old, new))))


def test_challenges_of_an_old_key_are_no_more_after_it_was_changed(laboratory, host):
    answer = host.answer(host.challenge())
    laboratory.later(2 * 3600)
    with refused("NONCE_UNKNOWN"):
        host.send(answer)
    assert host.attest().trusted
    assert laboratory.around.db.read(lambda s: s.query(ChallengeKey).count()) == 2
    prune(laboratory.around)
    assert laboratory.around.db.read(lambda s: s.query(ChallengeKey).count()) == 1
    assert host.attest().trusted


def test_challenge_of_one_worker_is_answered_to_another(laboratory, host):
    other = replace(laboratory.around, challenge_keys=ChallengeKeys())
    answer = host.answer(host.challenge())
    assert attestation.attest(other, answer).trusted
    with refused("NONCE_UNKNOWN"):
        host.send(answer)


def test_same_pass_is_written_down_once_and_again_after_an_hour_and_each_failure(laboratory, host):
    def written() -> int:
        return len(laboratory.around.db.read(lambda s: verdicts.page(s, "host1", None, 10)))

    for _ in range(3):
        assert host.attest().trusted
    assert written() == 1
    tamper(laboratory)
    assert not host.attest().trusted
    assert not host.attest().trusted
    assert written() == 3
    laboratory.policy()
    assert host.attest().trusted
    assert written() == 4
    laboratory.later(3601)
    assert host.attest().trusted
    assert written() == 5


def test_cve_2026_6420_no_two_nonces_are_equal(laboratory, host):
    assert len({host.challenge().nonce for _ in range(20)}) == 20
    # Nor where the clock stands still: it is not the time that makes them differ.
    moment = utc_now()
    laboratory.endpoint._around = replace(laboratory.around, now=lambda: moment)
    assert len({host.challenge().nonce for _ in range(20)}) == 20


def test_answer_that_comes_too_late_is_refused(laboratory, host):
    answer = host.answer(host.challenge())
    laboratory.later(21)
    with refused("NONCE_UNKNOWN"):
        host.send(answer)


def test_nonce_for_a_launch_is_none_for_attestation(host):
    with refused("NONCE_UNKNOWN"):
        host.send(host.answer(host.challenge("launch")))


def test_of_racing_workers_with_one_nonce_exactly_one_takes_it(laboratory, host):
    answer = host.answer(host.challenge())
    barrier, outcomes = threading.Barrier(8), []

    def send() -> None:
        barrier.wait()
        try:
            outcomes.append("pass" if host.send(answer).trusted else "fail")
        except RemoteRefusal as exc:
            outcomes.append(exc.code)

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["NONCE_UNKNOWN"] * 7 + ["pass"]


def test_quote_of_host1_is_refused_as_host2s_and_takes_neither_down(laboratory, host):
    other = laboratory.host("host2")
    other.enrol()
    laboratory.policy()
    assert host.attest().trusted
    assert other.attest().trusted
    stolen = host.answer(replace(other.challenge()))
    with refused("AK_FOREIGN"):
        host.send(replace(stolen, host="host2"))
    assert all(h.seconds > 50 for h in host.delta().hosts)
    with refused("NONCE_UNKNOWN"):
        host.send(replace(host.answer(host.challenge()), host="host2"))


def test_cve_2023_3674_flipped_byte_in_the_signature_is_refused(laboratory, host):
    answer = host.answer(host.challenge())
    quote = answer.evidence.quote
    flipped = bytearray(quote.signature)
    flipped[11] ^= 1
    forged = replace(
        answer, evidence=replace(answer.evidence, quote=replace(quote, signature=bytes(flipped)))
    )
    with refused("SIGNATURE_WRONG"):
        host.send(forged)
    assert host.delta().hosts[0].seconds == 0


def test_domain_list_altered_on_the_way_is_refused_as_not_the_hosts_own(host):
    answer = host.answer(host.challenge())
    altered = [RunningDomain(VM, "evil", True, None)]
    with refused("NONCE_MISMATCH"):
        host.send(replace(answer, evidence=replace(answer.evidence, domains=altered)))


def test_tampered_host_loses_its_lease_at_once_and_is_told_which_check(laboratory, host):
    host.attest()
    before = host.delta().generation
    tamper(laboratory)
    result = host.attest()
    assert not result.trusted
    assert result.lease is None
    told = host.delta(before)
    assert told.hosts[0].seconds == 0
    assert [c.code for c in told.hosts[0].failed] == ["PCR_MISMATCH"]
    assert laboratory.told == ["host1", "host1"]
    assert "host-failed" in kinds(laboratory)


def test_no_expected_value_is_told_to_a_host_that_failed(laboratory, host):
    accepted = (laboratory.directory / "policy.d/compute.yaml").read_text()
    values = [line.split("'")[1] for line in accepted.splitlines() if "['" in line][1:]
    tamper(laboratory)
    told = str(wire.to_dict(host.attest()))
    assert values
    assert not [value for value in values if value in told]


def test_automatic_policy_lets_a_repaired_host_back(laboratory, host):
    tamper(laboratory)
    assert not host.attest().trusted
    laboratory.first.power_cycle()
    laboratory.policy()
    assert host.attest().trusted
    assert host.delta().hosts[0].failed == []


def test_operator_policy_holds_a_repaired_host_until_it_is_approved(laboratory, host):
    laboratory.policy(recovery="operator")
    tamper(laboratory)
    assert not host.attest().trusted
    laboratory.first.power_cycle()
    result = host.attest()
    assert [c.code for c in result.checks if c.outcome != "pass"] == ["HOST_HELD"]
    assert host.delta().hosts[0].seconds == 0
    operator.approve(laboratory.around.db, "host1", utc_now())
    assert host.attest().trusted


def test_good_evidence_from_before_a_failure_counts_not_even_after_recovery(laboratory, host):
    answer = host.answer(host.challenge())
    tamper(laboratory)
    assert not host.attest().trusted
    with refused("EVIDENCE_STALE"):
        host.send(answer)
    laboratory.first.power_cycle()
    assert host.attest().trusted
    with refused("NONCE_UNKNOWN"):
        host.send(answer)


def test_good_evidence_from_before_a_failure_brings_nothing_back(laboratory, host):
    early = host.answer(host.challenge())
    tamper(laboratory)
    assert not host.attest().trusted
    with refused("EVIDENCE_STALE"):
        host.send(early)
    assert host.delta().hosts[0].seconds == 0


def test_answers_that_arrive_in_another_order_than_quoted_do_no_harm(host):
    first, second = host.answer(host.challenge()), host.answer(host.challenge())
    assert host.send(second).trusted
    assert host.send(first).trusted


def test_cve_2022_3500_silence_ends_trust_by_itself(laboratory, host):
    host.attest()
    before = host.delta().generation
    laboratory.later(61)
    assert host.delta().hosts[0].seconds == 0
    assert leases.sweep(laboratory.around) == ["host1"]
    assert [c.code for c in host.delta(before).hosts[0].failed] == ["LEASE_EXPIRED"]
    assert leases.sweep(laboratory.around) == []
    assert host.attest().trusted


def test_cve_2022_3500_error_inside_the_verifier_keeps_no_trust_and_tells_no_detail(
    laboratory, host, monkeypatch
):
    host.attest()

    def broken(*_args):
        raise RuntimeError("secret detail")

    monkeypatch.setattr("e2etrust_verifier.trust.appraisal.appraise_host", broken)
    with refused("INTERNAL") as caught:
        host.attest()
    assert "secret" not in str(caught.value)
    laboratory.later(61)
    assert host.delta().hosts[0].seconds == 0


def test_running_server_without_a_launch_record_fails_the_host_and_is_named(laboratory, host):
    host.attest()
    running = [RunningDomain(VM, "instance-00000007", True, None)]
    for _ in range(2):  # told once, and not at each attestation while it runs
        result = host.attest(running)
        assert [c.code for c in result.checks if c.outcome != "pass"] == ["UNRECORDED_DOMAIN"]
    found = laboratory.around.db.read(lambda s: events.newest(s, 10, "unrecorded-domain"))
    assert [e.instance for e in found] == [VM]
    assert "instance-00000007" in found[0].message
    host.attest([*running, replace(running[0], instance=VM[:-1] + "9")])
    found = laboratory.around.db.read(lambda s: events.newest(s, 10, "unrecorded-domain"))
    assert [e.instance for e in found] == [VM[:-1] + "9", VM, VM]


def test_plain_server_needs_no_launch_record(host):
    assert host.attest([RunningDomain(VM, "plain", False, None)]).trusted


def test_host_without_a_policy_gets_no_challenge(laboratory):
    (laboratory.directory / "policy.d/compute.yaml").write_text("not: [a, policy")
    host = laboratory.host("host1")
    host.enrol()
    with refused("POLICY_MALFORMED"):
        host.challenge()
    (laboratory.directory / "policy.d/compute.yaml").unlink()
    with refused("POLICY_NONE"):
        host.challenge()


def test_unknown_host_is_told_to_enrol(laboratory):
    with refused("HOST_UNKNOWN"):
        laboratory.host().challenge()


def test_revoked_host_stays_out_until_approved_and_a_removed_one_is_told_as_untrusted(
    laboratory, host
):
    host.attest()
    before = host.delta().generation
    operator.revoke(laboratory.around.db, "host1", utc_now())
    assert host.delta(before).hosts[0].seconds == 0
    assert not host.attest().trusted
    operator.approve(laboratory.around.db, "host1", utc_now())
    assert host.attest().trusted
    before = host.delta().generation
    operator.remove(laboratory.around.db, "host1", utc_now())
    assert [(h.host, h.seconds) for h in host.delta(before).hosts] == [("host1", 0.0)]
    with refused("HOST_UNKNOWN"):
        host.challenge()
    host.enrol()
    assert host.attest().trusted


def test_old_rows_are_pruned_and_the_newest_stay(laboratory, host):
    around = laboratory.around
    kept = replace(around, settings=replace(around.settings, verdicts_kept=2, events_kept=1))
    for _ in range(4):
        host.attest()
        laboratory.later(3601)  # what says nothing new is a row once an hour
    last = around.db.read(lambda s: verdicts.last(s, "host1").id)
    laboratory.later(100)
    prune(kept)
    assert around.db.read(lambda s: verdicts.last(s, "host1").id) == last
    assert len(around.db.read(lambda s: verdicts.page(s, "host1", None, 10))) == 2
    assert len(kinds(laboratory)) == len(set(kinds(laboratory)))


def test_level_of_the_policy_is_the_leases_and_schedulers_hear_of_it(laboratory, host):
    def levels():
        told = host.attest().lease
        return told.level if told else None, host.delta().hosts[0].level

    assert levels() == (1, 1)
    laboratory.policy(level=4)
    assert levels() == (4, 4)
    laboratory.policy(level=2)
    assert levels() == (2, 2)
    laboratory.later(61)
    assert host.delta().hosts[0].level == 0
    operator.revoke(laboratory.around.db, "host1", laboratory.around.now())
    assert host.delta().hosts[0].level == 0


def test_lease_of_the_release_before_has_the_lowest_level(laboratory, host):
    host.attest()

    def forget(session):
        hosts.state(session, "host1").level = 0

    laboratory.around.db.write(forget)
    assert host.delta().hosts[0].level == 1
