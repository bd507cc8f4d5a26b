# SPDX-License-Identifier: Apache-2.0
"""Which hosts the operator's rule is for, and when the brake holds."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from e2etrust_verifier.revocation.rule import Fleet, Rule, Suspect, plan

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RULE = Rule(action="disable", max_hosts_per_hour=3, max_fraction=0.5)
FLEET = Fleet(100, frozenset(), {}, frozenset())


def suspect(host="host1", **changes):
    made = Suspect(host, NOW - timedelta(seconds=60), 2, "PCR_MISMATCH", "failed")
    return replace(made, **changes)


def many(count):
    return [suspect(f"host{n}") for n in range(count)]


def acted(rule, suspects, fleet=FLEET):
    return [s.host for s in plan(rule, suspects, fleet, NOW).act]


def test_nothing_is_done_by_default():
    assert acted(Rule(), many(1)) == []


@pytest.mark.parametrize(
    ("rule", "changes", "done"),
    [
        ({}, {}, True),
        ({"hosts": ("rack7-*",)}, {}, False),
        ({"hosts": ("rack7-*",)}, {"host": "rack7-3"}, True),
        ({"after_failures": 3}, {}, False),
        ({"after_failures": 3}, {"failures": 3}, True),
        ({"after_failures": 3}, {"failures": 0, "kind": "revoked"}, True),
        ({"after_seconds": 61.0}, {}, False),
        ({"after_seconds": 60.0}, {}, True),
        ({"after_seconds": 61.0}, {"kind": "revoked"}, False),
        ({}, {"kind": "expired", "failures": 0}, False),
        ({"expired": True}, {"kind": "expired", "failures": 0}, True),
    ],
)
def test_whom_the_rule_is_for(rule, changes, done):
    assert bool(acted(replace(RULE, **rule), [suspect(**changes)])) is done


def test_more_than_the_hour_allows_stops_all_of_them():
    assert len(acted(RULE, many(3))) == 3
    decided = plan(RULE, many(4), FLEET, NOW)
    assert decided.act == []
    assert "max_hosts_per_hour" in decided.braked


def test_hosts_of_the_last_hour_count_though_they_were_released():
    fleet = replace(FLEET, recent=frozenset({"a", "b"}))
    assert len(acted(RULE, many(1), fleet)) == 1
    assert acted(RULE, many(2), fleet) == []


def test_fraction_of_the_fleet_counts_those_that_are_out_of_use():
    fleet = replace(FLEET, size=10, acted=dict.fromkeys("abcd", NOW))
    assert len(acted(RULE, many(1), fleet)) == 1
    decided = plan(RULE, many(2), fleet, NOW)
    assert decided.act == []
    assert "max_fraction" in decided.braked


def test_small_cloud_may_act_on_one_host():
    fleet, rule = replace(FLEET, size=2), replace(RULE, max_fraction=0.1)
    assert len(acted(rule, many(1), fleet)) == 1
    assert acted(rule, many(2), fleet) == []


def test_host_that_was_acted_on_is_not_due_and_brakes_nothing():
    fleet = replace(FLEET, acted={f"host{n}": NOW for n in range(4)})
    assert plan(RULE, many(4), fleet, NOW).braked == ""
    assert acted(RULE, many(4), fleet) == []


def test_host_that_is_trusted_again_is_released_also_when_the_brake_holds():
    fleet = replace(FLEET, acted={"good": NOW}, trusted=frozenset({"good", "other"}))
    decided = plan(RULE, many(9), fleet, NOW)
    assert (decided.release, bool(decided.braked)) == (["good"], True)
