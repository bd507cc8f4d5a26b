# SPDX-License-Identifier: Apache-2.0
"""Who is first acts for all who came meanwhile."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from e2etrust_verifier.db import grouping
from e2etrust_verifier.db.grouping import Grouping, Lost

PATIENCE = 30


class Serving:
    """Serves groups; stands still in the first until it is let go."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.entered, self.go_on = threading.Event(), threading.Event()

    def __call__(self, group) -> None:
        self.groups.append([member.asked for member in group])
        if len(self.groups) == 1:
            self.entered.set()
            assert self.go_on.wait(PATIENCE)
        for member in group:
            if "bad" in member.asked:
                member.outcome.set_exception(ValueError(member.asked))
            else:
                member.outcome.set_result(member.asked.upper())


def ask_while_busy(made: Grouping, serving: Serving, asked: list[str]) -> list[Future]:
    """Ask for all of *asked*, in that order, while the first group is under way."""
    with ThreadPoolExecutor(len(asked) + 1) as pool:
        first = pool.submit(made.run, "first")
        assert serving.entered.wait(PATIENCE)
        others = []
        for number, one in enumerate(asked, 1):
            others.append(pool.submit(made.run, one))
            waited = threading.Event()
            while len(made) < number:
                assert not waited.wait(0.001)
        serving.go_on.set()
        assert first.result(PATIENCE) == "FIRST"
    return others


def test_one_that_is_alone_waits_for_nobody():
    serving = Serving()
    serving.go_on.set()
    assert Grouping(serving).run("a") == "A"
    assert serving.groups == [["a"]]


def test_those_who_come_meanwhile_go_together_and_each_hears_of_its_own():
    serving = Serving()
    made = Grouping(serving)
    told = ask_while_busy(made, serving, ["a", "bad b", "c"])
    assert [serving.groups[0], serving.groups[1]] == [["first"], ["a", "bad b", "c"]]
    assert told[0].result() == "A"
    with pytest.raises(ValueError, match="bad b"):
        told[1].result()
    assert told[2].result() == "C"


def test_second_of_one_key_goes_in_the_next_group_and_none_overtakes_it():
    serving = Serving()
    made = Grouping(serving, key=lambda asked: asked[0])
    told = ask_while_busy(made, serving, ["a1", "b1", "a2", "c1"])
    assert serving.groups[1:] == [["a1", "b1"], ["a2", "c1"]]
    assert [one.result() for one in told] == ["A1", "B1", "A2", "C1"]


def test_no_group_is_larger_than_the_most(monkeypatch):
    monkeypatch.setattr(grouping, "MOST", 2)
    serving = Serving()
    told = ask_while_busy(Grouping(serving), serving, ["a", "b", "c"])
    assert serving.groups[1:] == [["a", "b"], ["c"]]
    assert [one.result() for one in told] == ["A", "B", "C"]


def test_server_that_ends_leaves_nobody_waiting():
    def serve(group):
        raise SystemExit

    made = Grouping(serve)
    with pytest.raises(SystemExit):
        made.run("a")
    assert len(made) == 0


def test_those_it_acted_for_hear_that_the_outcome_is_unknown():
    serving = Serving()

    def serve(group):
        if serving.groups:
            raise SystemExit
        serving(group)

    made = Grouping(serve)
    told = ask_while_busy(made, serving, ["a", "b"])
    assert {type(one.exception()) for one in told} == {SystemExit, Lost}
