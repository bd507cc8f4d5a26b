# SPDX-License-Identifier: Apache-2.0
"""The challenge that comes with a lease is as good as one that was asked for, and no better.

The tests' verifier has a ``nonce_lifetime`` of 20 seconds: a host with a lease of 40 comes in time.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from e2etrust_core.tpm.device import Tpm
from e2etrust_core.tpm.pcr import extend_pcr
from e2etrust_verifier.trust import operator
from e2etrust_verifier.trust.surroundings import utc_now
from tests.functional.verifier.host import refused


@pytest.fixture
def often(laboratory, host):
    """A host whose policy has it come again before a challenge runs out."""
    laboratory.policy(lease_seconds=40)
    return host


def tamper(laboratory) -> None:
    extend_pcr(Tpm(laboratory.first.tcti), 9, {"sha256": b"\x66" * 32})


def test_next_challenge_comes_with_the_lease_and_is_answered_once(laboratory, often):
    first = often.attest()
    assert first.challenge.lease == first.lease.id
    laboratory.later(19)
    answer = often.answer(first.challenge)
    second = often.send(answer)
    assert second.trusted
    assert second.challenge.nonce != first.challenge.nonce
    with refused("NONCE_UNKNOWN"):
        often.send(answer)


def test_quote_from_before_counts_no_longer_than_for_a_challenge_that_was_asked_for(
    laboratory, often
):
    early = often.answer(often.attest().challenge)
    laboratory.later(21)
    with refused("NONCE_UNKNOWN"):
        often.send(early)


def test_where_it_would_run_out_first_none_is_given(laboratory, host):
    assert host.attest().challenge is None
    laboratory.policy(lease_seconds=41)
    assert host.attest().challenge is None


def test_it_is_of_that_host_and_of_attestation(laboratory, often):
    laboratory.host("host2").enrol()
    given = often.attest().challenge
    with refused("NONCE_UNKNOWN"):
        often.send(replace(often.answer(given), host="host2"))
    ask = often.launch_ask()
    with refused("NONCE_UNKNOWN"):
        often.ask(object, "launch", replace(ask, nonce=given.nonce))


def test_host_that_failed_gets_none_and_its_good_answer_from_before_does_not_count(
    laboratory, often
):
    early = often.answer(often.attest().challenge)
    tamper(laboratory)
    failed = often.attest()
    assert (failed.trusted, failed.challenge) == (False, None)
    with refused("EVIDENCE_STALE"):
        often.send(early)


def test_operators_word_ends_it(laboratory, often):
    early = often.answer(often.attest().challenge)
    operator.revoke(laboratory.around.db, "host1", utc_now())
    with refused("EVIDENCE_STALE"):
        often.send(early)


def test_other_policy_ends_it(laboratory, often):
    early = often.answer(often.attest().challenge)
    laboratory.policy(lease_seconds=39)
    with refused("EVIDENCE_STALE"):
        often.send(early)


def test_worker_that_is_behind_gives_none_for_its_older_policy(laboratory, often):
    laboratory.policy(lease_seconds=40, version=1)
    answer = often.answer(often.challenge())
    laboratory.policy(lease_seconds=40, version=2)
    assert often.attest().trusted  # now version 2 was applied
    laboratory.policy(lease_seconds=40, version=1)
    result = often.send(answer)
    assert result.trusted
    assert result.challenge is None
