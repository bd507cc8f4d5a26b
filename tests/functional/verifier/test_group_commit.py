# SPDX-License-Identifier: Apache-2.0
"""Answers that arrive together are written in one transaction, and none spoils another's."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from e2etrust_core.messages import RemoteRefusal
from e2etrust_core.tpm.device import Tpm
from e2etrust_core.tpm.pcr import extend_pcr
from e2etrust_verifier.db.models import HostState, Lease
from e2etrust_verifier.trust import operator

PATIENCE = 60


@pytest.fixture
def three(laboratory):
    hosts = [laboratory.host(f"host{number}") for number in (1, 2, 3)]
    for host in hosts:
        host.enrol()
    return hosts


def send_together(laboratory, answers, meanwhile=lambda session: None) -> list[Future]:
    """Send *answers* while a transaction is under way, so that all of them wait for it.

    :param meanwhile: the work of that transaction.
    """
    database = laboratory.around.db
    entered, go_on = threading.Event(), threading.Event()

    def stand_still(session) -> None:
        entered.set()
        assert go_on.wait(PATIENCE)
        meanwhile(session)

    with ThreadPoolExecutor(len(answers) + 1) as pool:
        still = pool.submit(database.write_of, "nobody", stand_still)
        assert entered.wait(PATIENCE)
        sent = []
        for number, (host, answer) in enumerate(answers, 1):
            sent.append(pool.submit(host.send, answer))
            waited = threading.Event()
            while len(database._commits) < number:
                assert not sent[-1].done(), sent[-1].result()
                assert not waited.wait(0.005)
        go_on.set()
        still.result(PATIENCE)
    return sent


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


def test_answer_that_was_given_before_takes_no_other_with_it(laboratory, three):
    first, second, third = three
    old = second.answer(second.challenge())
    assert second.send(old).trusted
    answers = [(first, first.answer(first.challenge())), (second, old)]
    told = send_together(laboratory, [*answers, (third, third.answer(third.challenge()))])
    assert told[0].result().trusted
    assert told[2].result().trusted
    with pytest.raises(RemoteRefusal, match="^NONCE_UNKNOWN:"):
        told[1].result()
    leases = laboratory.around.db.read(lambda s: s.scalars(sa.select(Lease.host)).all())
    assert sorted(leases) == ["host1", "host2", "host3"]


def test_one_nonce_twice_at_the_same_time_is_one_lease(laboratory, three):
    host = three[0]
    answer = host.answer(host.challenge())
    told = send_together(laboratory, [(host, answer), (host, answer)])
    codes = sorted(str(one.exception() or "lease").split(":")[0] for one in told)
    assert codes == ["NONCE_UNKNOWN", "lease"]


def test_host_that_fails_and_one_that_was_removed_take_no_other_with_them(laboratory, three):
    extend_pcr(Tpm(laboratory.first.tcti), 9, {"sha256": b"\x66" * 32})
    told = send_together(
        laboratory,
        [(host, host.answer(host.challenge())) for host in three],
        lambda session: operator.forget(session, "host2", laboratory.around.now()),
    )
    assert not told[0].result().trusted
    with pytest.raises(RemoteRefusal, match="^EVIDENCE_STALE:"):
        told[1].result()
    assert told[2].result().trusted
    seconds = {host.host: host.seconds > 0 for host in three[2].delta().hosts}
    assert seconds == {"host1": False, "host2": False, "host3": True}
