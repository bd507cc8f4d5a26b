# SPDX-License-Identifier: Apache-2.0
"""Who goes first, who comes again, who has given up."""

from __future__ import annotations

import pytest

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


def take(line):
    return line.take().call


@pytest.mark.parametrize(
    ("message", "urgency"),
    [
        ({"method": "launch"}, Urgency.LAUNCH),
        ({"method": "lease_delta"}, Urgency.LAUNCH),
        ({"method": "challenge", "args": {"request": {"purpose": "launch"}}}, Urgency.LAUNCH),
        ({"method": "challenge", "args": {"request": {"purpose": "attest"}}}, Urgency.ROUTINE),
        ({"method": "attest"}, Urgency.ANSWER),
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


def test_call_whose_caller_has_given_up_is_dropped(line, clock):
    line.add("short", Urgency.ROUTINE, 2.0)
    line.add("long", Urgency.ROUTINE, 60.0)
    line.add("unknown", Urgency.ROUTINE, None)
    clock.now += 3
    assert line.take() is None
    assert take(line) == "long"
    assert take(line) == "unknown"


def test_what_begins_something_is_refused_while_such_calls_wait_too_long(line, clock):
    line.add("first", Urgency.ROUTINE, None)
    clock.now += 1.5
    line.add("second", Urgency.ROUTINE, None)
    line.add("answer", Urgency.ANSWER, None)
    line.add("launch", Urgency.LAUNCH, None)
    refused = line.take()
    assert (refused.call, refused.retry_after) == ("second", 3.0)
    assert [take(line) for _ in range(3)] == ["launch", "answer", "first"]
    line.add("third", Urgency.ROUTINE, None)
    assert line.take().retry_after is None


def test_beyond_its_length_the_line_takes_nobody(line):
    for number in range(5):
        line.add(number, Urgency.LAUNCH, None)
    line.add("one more", Urgency.LAUNCH, None)
    refused = line.take()
    assert (refused.call, refused.retry_after) == ("one more", 1.0)
