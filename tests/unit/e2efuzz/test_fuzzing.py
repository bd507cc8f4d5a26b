# SPDX-License-Identifier: Apache-2.0
"""A short run of every fuzz target, always the same; ``tools/fuzz`` runs them for long."""

from __future__ import annotations

from random import Random

import pytest

from e2efuzz.engine import Outcome, fuzz
from e2efuzz.mutation import LONGEST, mutate
from e2efuzz.targets import TARGETS, Target
from e2etrust_core.errors import InputError

RUNS = 250


def so_many(runs: int):
    def going_on(outcome: Outcome) -> bool:
        return outcome.runs < runs

    return going_on


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_altered_input_is_refused_by_errors_of_ours_only(name):
    outcome = fuzz(TARGETS[name], so_many(RUNS), Random(name))
    assert outcome.runs == RUNS
    assert [finding.told for finding in outcome.findings] == []


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_seeds_get_through(name):
    """A seed that is refused at once would leave everything behind it unread."""
    for seed in TARGETS[name].seeds:
        TARGETS[name].run(seed)


def broken(data: bytes) -> None:
    if data[:1] == b"x":
        raise InputError("refused")
    if len(data) > 4:
        raise IndexError("unforeseen")


def test_error_that_is_none_of_ours_is_found_and_ours_are_not():
    target = Target("broken", "", broken, (b"x", b"ab"))
    outcome = fuzz(target, so_many(300), Random(1))
    assert outcome.findings
    assert all("IndexError" in finding.told for finding in outcome.findings)
    assert all(finding.data[:1] != b"x" for finding in outcome.findings)


def test_mutation_alters_and_stays_within_bounds():
    random = Random(2)
    changed = {mutate(random, b"some input", [b"another"]) for _ in range(200)}
    assert len(changed) > 100
    assert len(mutate(random, bytes(2 * LONGEST), [])) <= LONGEST
    assert mutate(random, b"", []) is not None
