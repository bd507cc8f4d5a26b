# SPDX-License-Identifier: Apache-2.0
"""The outbox and who delivers from it: nothing is lost, nothing goes round, all is bounded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from e2etrust_verifier import housekeeping
from e2etrust_verifier.db import events, outbox
from e2etrust_verifier.notify.courier import Courier, Sorter
from e2etrust_verifier.notify.destination import DeliveryFailed, DeliveryRefused, Patience
from e2etrust_verifier.trust.surroundings import Settings

START = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now

    def later(self, seconds):
        self.now += timedelta(seconds=seconds)


class Listener:
    """A destination that fails as often as it is told."""

    timeout = 1.0

    def __init__(self, name="listener", fails=(), attempts=None, unwanted=frozenset()):
        self.name, self.unwanted = name, unwanted
        self.patience = Patience(attempts, 10.0, 40.0)
        self.fails = list(fails)
        self.tries = []
        self.got = []

    def deliver(self, notice, priority):
        self.tries.append(notice)
        if self.fails:
            raise self.fails.pop(0)
        self.got.append((notice.type, priority, notice.host))


@pytest.fixture
def clock():
    return Clock()


def happen(database, clock, kind="host-trusted", host="host1", codes=()):
    database.write(lambda s: events.add(s, kind, "told", now=clock.now, host=host, codes=codes))


def failure():
    return DeliveryFailed("no answer")


def waiting(database) -> dict[str, int]:
    return {name: one.number for name, one in database.read(outbox.waiting).items()}


def kinds_of(database, kind):
    return database.read(lambda s: [e.message for e in events.newest(s, 10, kind)])


def test_event_is_told_once_to_each_destination(database, clock):
    one, two = Listener("one"), Listener("two")
    happen(database, clock, "host-failed", codes=("PCR_MISMATCH", "CLOCK_WENT_BACK"))
    Sorter(database, [one, two], clock).once()
    for listener in (one, two):
        courier = Courier(database, listener, clock)
        courier.once()
        courier.once()
        assert listener.got == [("e2etrust.host.untrusted", "error", "host1")]
    assert one.tries[0].codes == ["PCR_MISMATCH", "CLOCK_WENT_BACK"]
    assert one.tries[0].id == two.tries[0].id
    assert waiting(database) == {}


def test_change_that_is_rolled_back_is_not_told(database, clock):
    def work(session):
        events.add(session, "host-trusted", "told", now=clock.now)
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - ours
        database.write(work)
    assert waiting(database) == {}


def test_without_a_destination_the_outbox_is_emptied(database, clock):
    happen(database, clock)
    Sorter(database, [], clock).once()
    assert waiting(database) == {}


def test_failed_try_is_repeated_later_under_the_same_number(database, clock):
    listener = Listener(fails=[failure(), failure()])
    happen(database, clock)
    Sorter(database, [listener], clock).once()
    courier = Courier(database, listener, clock)
    courier.once()
    courier.once()
    assert len(listener.tries) == 1, "not before its pause is over"
    for _ in range(2):
        clock.later(40)
        courier.once()
    assert len(listener.got) == 1
    assert len({notice.id for notice in listener.tries}) == 1


def test_what_a_dead_worker_claimed_is_told_by_another(database, clock):
    listener = Listener()
    happen(database, clock)
    Sorter(database, [listener], clock).once()
    until = clock.now + timedelta(seconds=40)
    claimed = database.write(lambda s: outbox.claim(s, "listener", "dead", clock.now, until, 10))
    assert len(claimed) == 1
    living = Courier(database, listener, clock)
    living.once()
    assert listener.tries == []
    clock.later(41)
    living.once()
    assert len(listener.got) == 1
    assert not database.write(lambda s: outbox.forget(s, claimed[0].id, "dead"))


def test_two_workers_claim_different_rows(database, clock):
    for number in range(6):
        happen(database, clock, host=f"host{number}")
    Sorter(database, [Listener()], clock).once()
    until = clock.now + timedelta(seconds=40)

    def claim(holder, limit):
        found = database.write(
            lambda s: outbox.claim(s, "listener", holder, clock.now, until, limit)
        )
        return {row.host for row in found}

    first, second = claim("one", 4), claim("two", 4)
    assert (len(first), len(second)) == (4, 2)
    assert not first & second


@pytest.mark.parametrize("fails", [[failure()] * 3, [DeliveryRefused("410")]])
def test_what_cannot_be_told_ends_as_an_event(database, clock, fails):
    listener = Listener(fails=fails, attempts=3)
    happen(database, clock)
    Sorter(database, [listener], clock).once()
    courier = Courier(database, listener, clock)
    for _ in range(5):
        courier.once()
        clock.later(60)
    assert len(listener.tries) == len(fails)
    (told,) = kinds_of(database, "delivery-failed")
    assert "host-trusted" in told
    assert "listener" in told


def test_dead_letter_is_not_sent_where_it_came_from(database, clock):
    deaf = Listener("deaf", [failure()] * 9, attempts=1, unwanted=frozenset({"delivery-failed"}))
    good = Listener("good")
    happen(database, clock)
    sorter = Sorter(database, [deaf, good], clock)
    for _ in range(4):
        sorter.once()
        Courier(database, deaf, clock).once()
        Courier(database, good, clock).once()
    assert len(deaf.tries) == 1
    assert [got[0] for got in good.got] == ["e2etrust.host.trusted", "e2etrust.delivery.failed"]


def around(database, clock, **settings):
    return SimpleNamespace(db=database, now=clock, settings=Settings(**settings))


def test_flood_of_one_kind_drops_its_oldest_and_no_other_and_says_so(database, clock):
    happen(database, clock, "host-failed")
    for number in range(8):
        happen(database, clock, "evidence-refused", f"host{number}")
    Sorter(database, [Listener()], clock).once()
    housekeeping.prune(around(database, clock, outbox_kept=5))
    assert waiting(database) == {"listener": 6, "": 1}
    assert kinds_of(database, "outbox-dropped") == [
        "nobody could be told in time, the oldest were dropped: 3 of evidence-refused"
    ]


def test_what_waits_for_a_destination_that_is_gone_ends(database, clock):
    happen(database, clock)
    Sorter(database, [Listener("gone")], clock).once()
    clock.later(3601)
    housekeeping.prune(around(database, clock, outbox_longest_wait=3600.0))
    assert waiting(database) == {"": 1}
    assert "1 of host-trusted" in kinds_of(database, "outbox-dropped")[0]


def test_pauses_double_to_a_limit_and_half_of_each_is_at_random():
    patience = Patience(None, 5.0, 100.0)
    longest = [patience.pause(n, draw=1.0) for n in range(1, 8)]
    assert longest == [5, 10, 20, 40, 80, 100, 100]
    assert [patience.pause(n, draw=0.0) for n in (1, 7, 5000)] == [2.5, 50, 50]
