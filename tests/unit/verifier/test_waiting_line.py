# SPDX-License-Identifier: Apache-2.0
"""Who goes first, who goes together, who comes again, who has given up."""

from __future__ import annotations

import pytest

from e2etrust_verifier.rpc import waiting_line
from e2etrust_verifier.rpc.waiting_line import Urgency, WaitingLine, urgency_of


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def line(clock):
    return WaitingLine(longest_wait=1.0, most=5, clock=clock)


def take_alone(line):
    (waiting,) = line.take().calls
    return waiting


def take(line):
    return take_alone(line).call


def take_group(line):
    turn = line.take()
    return turn, [waiting.call for waiting in turn.calls]


@pytest.mark.parametrize(
    ("message", "urgency"),
    [
        ({"method": "launch"}, Urgency.LAUNCH),
        ({"method": "lease_delta"}, Urgency.LAUNCH),
        ({"method": "challenge", "args": {"request": {"purpose": "launch"}}}, Urgency.LAUNCH),
        ({"method": "challenge", "args": {"request": {"purpose": "attest"}}}, Urgency.ROUTINE),
        ({"method": "attest"}, Urgency.ANSWER),
        ({"method": "attest", "args": {"request": {"given": False}}}, Urgency.ANSWER),
        # Nobody admitted it by a challenge: it waits, or is refused, as the question for one.
        ({"method": "attest", "args": {"request": {"given": True}}}, Urgency.ROUTINE),
        ({"method": "enrol_finish"}, Urgency.ANSWER),
        ({"method": "enrol_begin"}, Urgency.ROUTINE),
        ({"method": "launch_update"}, Urgency.ROUTINE),
        ({}, Urgency.ROUTINE),
        ({"method": "challenge", "args": [7]}, Urgency.ROUTINE),
        ({"method": "challenge", "args": {"request": 7}}, Urgency.ROUTINE),
        ({"method": 7, "args": None}, Urgency.ROUTINE),
    ],
)
def test_urgency_of_whatever_comes(message, urgency):
    assert urgency_of(message) == urgency


def test_launches_go_before_answers_and_those_before_what_begins_something(line):
    for name, urgency in (("c1", 2), ("c2", 2), ("a", 1), ("l", 0)):
        line.add(name, Urgency(urgency), None)
    assert [take(line) for _ in range(4)] == ["l", "a", "c1", "c2"]
    assert len(line) == 0
    assert line.take() is None


def test_call_whose_caller_has_given_up_is_dropped(line, clock):
    line.add("short", Urgency.ROUTINE, 2.0)
    line.add("long", Urgency.ROUTINE, 60.0)
    line.add("unknown", Urgency.ROUTINE, None)
    clock.now += 3
    assert line.take().calls == []
    assert take(line) == "long"
    assert take(line) == "unknown"


def test_what_begins_something_is_refused_while_such_calls_wait_too_long(line, clock):
    line.add("first", Urgency.ROUTINE, None)
    clock.now += 1.5
    line.add("second", Urgency.ROUTINE, None)
    line.add("answer", Urgency.ANSWER, None)
    line.add("launch", Urgency.LAUNCH, None)
    assert take(line) == "launch"
    refused = take_alone(line)
    assert (refused.call, refused.retry_after) == ("second", 3.0)
    assert [take(line) for _ in range(2)] == ["answer", "first"]
    line.add("third", Urgency.ROUTINE, None)
    assert take_alone(line).retry_after is None


def test_beyond_its_length_the_line_takes_nobody(line):
    for number in range(5):
        line.add(number, Urgency.ROUTINE, None)
    line.add("one more", Urgency.LAUNCH, None)
    refused = take_alone(line)
    assert (refused.call, refused.retry_after) == ("one more", 1.0)


def test_calls_of_one_kind_go_together_and_each_kind_by_its_urgency(line):
    for name, urgency, kind in (("c1", 2, "c"), ("a1", 1, "a"), ("c2", 2, "c"), ("a2", 1, "a")):
        line.add(name, Urgency(urgency), None, kind)
    assert [take_group(line)[1] for _ in range(2)] == [["a1", "a2"], ["c1", "c2"]]


def test_those_who_come_meanwhile_wait_until_their_kind_is_done_and_hold_up_no_other(line):
    line.add("a1", Urgency.ANSWER, None, "a")
    turn, _ = take_group(line)
    for name, kind in (("a2", "a"), ("b", None), ("a3", "a")):
        line.add(name, Urgency.ANSWER, None, kind)
    assert take(line) == "b"
    assert line.turns() == 0
    assert line.take() is None
    line.done(turn)
    assert line.turns() == 1
    assert take_group(line)[1] == ["a2", "a3"]


def test_one_kind_of_two_urgencies_goes_apart(line):
    for name, urgency in (("routine", 2), ("launch", 0)):
        line.add(name, Urgency(urgency), None, "challenge")
    assert [take_group(line)[1] for _ in range(2)] == [["launch"], ["routine"]]


def test_no_group_is_larger_than_the_most(line, monkeypatch):
    monkeypatch.setattr(waiting_line, "MOST", 2)
    for number in range(3):
        line.add(number, Urgency.ANSWER, None, "a")
    turn, group = take_group(line)
    line.done(turn)
    assert (group, take_group(line)[1]) == ([0, 1], [2])


def test_group_goes_without_those_who_have_given_up(line, clock):
    line.add("short", Urgency.ANSWER, 1.0, "a")
    line.add("long", Urgency.ANSWER, 9.0, "a")
    clock.now += 2
    assert take_group(line)[1] == ["long"]


def test_refusals_go_by_turns_with_answers_and_keep_none_of_them_waiting(clock):
    line = WaitingLine(longest_wait=1.0, most=3, clock=clock)
    for name in ("a1", "a2", "a3", "no1", "no2"):
        line.add(name, Urgency.ANSWER, None)
    assert [take(line) for _ in range(3)] == ["a1", "a2", "a3"]
    line.add("a4", Urgency.ANSWER, None)
    assert take_group(line)[1] == ["no1", "no2"]
    assert take(line) == "a4"
