# SPDX-License-Identifier: Apache-2.0
"""Answers that arrive together are written in one transaction, and none spoils another's."""

from __future__ import annotations

from concurrent.futures import Future

import pytest
import sqlalchemy as sa

from e2etrust_core import wire
from e2etrust_core.messages import AttestResult, read_reply
from e2etrust_core.tpm.device import Tpm
from e2etrust_core.tpm.pcr import extend_pcr
from e2etrust_verifier.db.models import HostState, Lease
from e2etrust_verifier.trust import operator
from tests.functional.verifier.host import refused
from tests.functional.verifier.test_races import meanwhile


@pytest.fixture
def three(laboratory):
    hosts = [laboratory.host(f"host{number}") for number in (1, 2, 3)]
    for host in hosts:
        host.enrol()
    return hosts


def send_together(laboratory, answers) -> list[Future]:
    told = []
    for reply in laboratory.endpoint.attest_each([wire.to_dict(answer) for _, answer in answers]):
        told.append(Future())
        try:
            told[-1].set_result(read_reply(AttestResult, reply))
        except Exception as exc:
            told[-1].set_exception(exc)
    return told


def changes(laboratory) -> set[int]:
    """Return the numbers of the hosts' last changes."""
    query = sa.select(HostState.generation)
    return laboratory.around.db.read(lambda s: set(s.scalars(query)))


def test_answers_of_three_hosts_are_one_change(laboratory, three):
    before = max(changes(laboratory))
    told = send_together(laboratory, [(h, h.answer(h.challenge())) for h in three])
    results = [one.result() for one in told]
    assert all(result.trusted for result in results)
    assert len({result.lease.id for result in results}) == 3
    assert len(changes(laboratory)) == 1
    heard = three[0].delta(before)
    assert sorted(h.host for h in heard.hosts) == ["host1", "host2", "host3"]


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
def test_answers_of_three_hosts_are_as_many_statements_as_of_one(laboratory, three):
    """Four reads, and then: lock, nonces, leases that end and begin, number, states."""
    asked: list[str] = []
    engine = laboratory.around.db.engine
    sa.event.listen(engine, "before_cursor_execute", lambda *a: asked.append(a[2]))

    def cost(hosts) -> int:
        answers = [(host, host.answer(host.challenge())) for host in hosts]
        asked.clear()
        assert all(one.result().trusted for one in send_together(laboratory, answers))
        return len([text for text in asked if "challenge_keys" not in text])  # read at times

    cost(three)  # a first verdict is news, and written down
    assert [cost(three), cost(three[:1])] == [10, 10]


def test_answer_that_was_given_before_takes_no_other_with_it(laboratory, three):
    first, second, third = three
    old = second.answer(second.challenge())
    assert second.send(old).trusted
    answers = [(first, first.answer(first.challenge())), (second, old)]
    told = send_together(laboratory, [*answers, (third, third.answer(third.challenge()))])
    assert told[0].result().trusted
    assert told[2].result().trusted
    with refused("NONCE_UNKNOWN"):
        told[1].result()
    leases = laboratory.around.db.read(lambda s: s.scalars(sa.select(Lease.host)).all())
    assert sorted(leases) == ["host1", "host2", "host3"]


def test_two_answers_of_one_host_are_one_after_the_other(laboratory):
    """What the first one leaves, a failure here, is what the second one is held against."""
    host = laboratory.host()
    host.enrol()
    old = host.answer(host.challenge())
    extend_pcr(Tpm(laboratory.first.tcti), 9, {"sha256": b"\x66" * 32})
    told = send_together(laboratory, [(host, host.answer(host.challenge())), (host, old)])
    assert not told[0].result().trusted
    with refused("EVIDENCE_STALE"):
        told[1].result()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_request_that_is_none_takes_no_other_with_it(laboratory):
    host = laboratory.host()
    host.enrol()
    good = wire.to_dict(host.answer(host.challenge()))
    told = laboratory.endpoint.attest_each([None, good, {**good, "host": "nobody"}])
    assert read_reply(AttestResult, told[1]).trusted
    assert [reply["error"]["code"] for reply in told[::2]] == ["INPUT_MALFORMED", "HOST_UNKNOWN"]


def test_one_nonce_twice_at_the_same_time_is_one_lease(laboratory):
    host = laboratory.host()
    host.enrol()
    answer = host.answer(host.challenge())
    told = send_together(laboratory, [(host, answer), (host, answer)])
    codes = sorted(str(one.exception() or "lease").split(":")[0] for one in told)
    assert codes == ["NONCE_UNKNOWN", "lease"]


def test_host_that_fails_and_one_that_was_removed_take_no_other_with_them(
    laboratory, three, monkeypatch
):
    extend_pcr(Tpm(laboratory.first.tcti), 9, {"sha256": b"\x66" * 32})
    answers = [(host, host.answer(host.challenge())) for host in three]
    around = laboratory.around
    meanwhile(monkeypatch, lambda: operator.remove(around.db, "host2", around.now()))
    told = send_together(laboratory, answers)
    assert not told[0].result().trusted
    with refused("EVIDENCE_STALE"):
        told[1].result()
    assert told[2].result().trusted
    seconds = {host.host: host.seconds > 0 for host in three[2].delta().hosts}
    assert seconds == {"host1": False, "host2": False, "host3": True}
