# SPDX-License-Identifier: Apache-2.0
"""The verifier's own clock is set forward and back: nothing is trusted longer, or twice, by it."""

from __future__ import annotations

import pytest

from e2etrust_verifier.db import hosts, leases
from e2etrust_verifier.db.models import Answer
from e2etrust_verifier.trust import standing
from e2etrust_verifier.trust.challenge_keys import KNOWN_WITHIN
from e2etrust_verifier.trust.closed_nonces import ClosedNonces
from e2etrust_verifier.trust.leases import sweep
from e2etrust_verifier.trust.results import result_of
from tests.functional.verifier.host import refused

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
#: A round of this worker's, by the clock that nobody sets.
ROUND = 2 * KNOWN_WITHIN + 1


@pytest.fixture
def ticks(monkeypatch):
    """Monotonic seconds, set by the test."""
    now = [1000.0]
    monkeypatch.setattr("e2etrust_verifier.trust.challenge_keys.time.monotonic", lambda: now[0])
    return now


def remembered(laboratory) -> int:
    return laboratory.around.db.read(lambda s: s.query(Answer).count())


@pytest.mark.parametrize("step", [40, 700, 4 * 3600, 366 * 86400])
def test_nonce_is_good_once_though_the_clock_goes_forward_and_back(laboratory, host, ticks, step):
    closing = ClosedNonces(laboratory.around, lambda: ticks[0])
    answer = host.answer(host.challenge())
    assert host.send(answer).trusted
    laboratory.later(step)
    for _ in range(3):
        closing.advance()
        ticks[0] += ROUND
    assert remembered(laboratory) == 0
    laboratory.later(-step)
    with refused("NONCE_UNKNOWN"):
        host.send(answer)
    # And the hosts do not wait until the clock has caught up.
    assert host.attest().trusted


def test_answers_are_remembered_until_every_worker_knows_that_they_are_closed(
    laboratory, host, ticks
):
    closing = ClosedNonces(laboratory.around, lambda: ticks[0])
    assert host.attest().trusted
    laboratory.later(60)
    closing.advance()
    for waited in (1, KNOWN_WITHIN, KNOWN_WITHIN - 2):
        ticks[0] += waited
        closing.advance()
        assert remembered(laboratory) == 1
    ticks[0] += 2
    closing.advance()
    assert remembered(laboratory) == 0


def test_challenge_of_the_future_is_not_answered(laboratory, host):
    answer = host.answer(host.challenge())
    laboratory.later(-600)
    with refused("NONCE_UNKNOWN"):
        host.send(answer)
    assert host.attest().trusted


def test_lease_ends_when_the_clock_goes_back_behind_its_evidence(laboratory, host):
    around = laboratory.around
    assert host.attest().trusted
    laboratory.later(-3600)
    state = around.db.read(lambda s: hosts.state(s, "host1"))
    assert not standing.has_lease(state, around.now())
    assert standing.word(state, around.now()) == "unknown"
    told = around.db.read(lambda s: result_of(s, hosts.find(s, "host1"), around.now()))
    assert told.status == "none"
    assert around.db.read(lambda s: leases.levels(s, around.now())) == {}
    trusted = standing.word_of_row(around.now()) == "trusted"
    assert around.db.read(lambda s: hosts.attested(s, trusted)).number == 0
    assert host.delta().hosts[0].seconds == 0.0
    with refused("LEASE_NONE"):
        host.launch(lease="none")
    assert sweep(around) == ["host1"]
    assert host.attest().trusted
    assert around.db.read(lambda s: leases.levels(s, around.now())) == {"host1": 1}


def test_lease_ends_when_the_clock_goes_forward(laboratory, host):
    assert host.attest().trusted
    laboratory.later(366 * 86400)
    assert host.delta().hosts[0].seconds == 0.0
    assert host.attest().trusted


def test_clocks_of_workers_that_nearly_agree_end_no_lease(laboratory, host):
    assert host.attest().trusted
    laboratory.later(-3)
    assert host.delta().hosts[0].seconds > 0
    assert host.send(host.answer(host.challenge())).trusted
