# SPDX-License-Identifier: Apache-2.0
"""What flavor, image and aggregates ask."""

from __future__ import annotations

import pytest
from nova.objects.aggregate import Aggregate
from nova.scheduler import host_manager

from e2etrust_core.trust_names import NOTHING, UNREADABLE
from e2etrust_nova.demand import LevelsAsked, demand_of

TRUSTED_TRAIT = "CUSTOM_E2ETRUST_TRUSTED"


def test_flavor_without_our_extra_spec_asks_nothing():
    assert demand_of({"hw:cpu_policy": "shared"}) == NOTHING


def test_flavor_with_the_extra_spec_asks_for_trust():
    assert demand_of({"trust:trusted_host": "trusted"}) == 1


@pytest.mark.parametrize("value", ["untrusted", "Trusted", "true", "", " trusted"])
def test_other_values_are_never_read_as_asking_nothing(value):
    assert demand_of({"trust:trusted_host": value}) == UNREADABLE


@pytest.mark.parametrize("level", range(1, 10))
def test_least_level_asks_for_trust_by_itself(level):
    assert demand_of({"trust:min_level": str(level)}) == level


@pytest.mark.parametrize("value", ["0", "10", "-1", "", "two", "2.0", "1e1", "99999999999999999"])
def test_level_that_is_none_is_never_read_as_asking_nothing(value):
    assert demand_of({"trust:min_level": value}) == UNREADABLE


def test_highest_of_what_is_asked_counts():
    specs = {"trust:trusted_host": "trusted", "trust:min_level": "3"}
    assert demand_of(specs) == 3
    assert demand_of(specs, ["CUSTOM_E2ETRUST_LEVEL_5", TRUSTED_TRAIT]) == 5


def test_unreadable_value_outweighs_a_trait():
    specs = {"trust:trusted_host": "x", f"trait:{TRUSTED_TRAIT}": "required"}
    assert demand_of(specs) == UNREADABLE


@pytest.mark.parametrize("group", ["trait", "trait1", "trait_MINE"])
def test_required_trait_in_the_flavor_asks_for_trust(group):
    assert demand_of({f"{group}:{TRUSTED_TRAIT}": "required"}) == 1
    assert demand_of({f"{group}:CUSTOM_E2ETRUST_LEVEL_4": "required"}) == 4


def test_required_trait_in_the_image_asks_for_trust():
    assert demand_of({}, [TRUSTED_TRAIT]) == 1
    assert demand_of({}, ["CUSTOM_E2ETRUST_LEVEL_9"]) == 9


def test_other_traits_ask_nothing():
    assert demand_of({f"trait:{TRUSTED_TRAIT}": "forbidden"}) == NOTHING
    assert demand_of({f"resources:{TRUSTED_TRAIT}": "required"}) == NOTHING
    assert demand_of({}, ["HW_CPU_X86_AVX2", "CUSTOM_E2ETRUST_LEVEL_10"]) == NOTHING


def aggregate(**metadata: str) -> Aggregate:
    return Aggregate(metadata={key.replace("__", ":"): v for key, v in metadata.items()})


def hosts_in(*aggregates: Aggregate) -> list[host_manager.HostState]:
    state = host_manager.HostState("host1", "host1", "cell")
    state.aggregates = list(aggregates)
    return [state]


@pytest.mark.parametrize(
    ("metadata", "level"),
    [
        ({"trust__trusted_host": "trusted"}, 1),
        ({"trust__min_level": "3"}, 3),
        ({"trust__trusted_host": "trusted", "trust__min_level": "2"}, 2),
        ({"trust__trusted_host": "yes"}, UNREADABLE),
        ({"trust__min_level": "3,4"}, UNREADABLE),
    ],
)
def test_aggregate_asks_of_its_hosts(metadata, level):
    asking = aggregate(**metadata)
    plain = aggregate(availability_zone="nova")
    assert LevelsAsked(NOTHING).of(hosts_in(plain, asking)) == [level]


def test_trait_of_an_aggregate_is_novas_own_and_asks_nothing_here():
    isolated = aggregate(trait__CUSTOM_E2ETRUST_TRUSTED="required")
    assert LevelsAsked(NOTHING).of(hosts_in(isolated)) == []


def test_request_and_aggregates_both_ask_of_each_host():
    two, four = aggregate(trust__min_level="2"), aggregate(trust__min_level="4")
    hosts = [*hosts_in(), *hosts_in(two), *hosts_in(two, four), *hosts_in(four)]
    assert LevelsAsked(NOTHING).of(hosts) == [0, 2, 4, 4]
    assert LevelsAsked(3).of(hosts) == [3, 3, 4, 4]
    assert LevelsAsked(4).of(hosts) == [4] * 4
    # One request, host by host.
    asked = LevelsAsked(1)
    assert [asked.of([host]) for host in hosts] == [[1], [2], [4], [4]]


def test_what_an_operator_changes_in_an_aggregate_counts_at_the_next_request():
    one = aggregate(availability_zone="nova")
    hosts = hosts_in(one)
    assert LevelsAsked(NOTHING).of(hosts) == []
    # In place: the object, and the host's list of aggregates, stay the same.
    one.metadata["trust:min_level"] = "2"
    assert LevelsAsked(NOTHING).of(hosts) == [2]
    del one.metadata["trust:min_level"]
    assert LevelsAsked(NOTHING).of(hosts) == []


@pytest.mark.parametrize(
    "key",
    ["Trust:trusted_host", "trust:Trusted_Host", " trust:trusted_host", "trust:trusted_host "],
)
def test_spec_in_other_letters_or_with_blanks_asks_what_it_would_without(key):
    """Nova takes such keys; a flavor that looks as if it asked for trust must not ask nothing."""
    assert demand_of({key: "trusted"}) == 1


@pytest.mark.parametrize("key", ["trust:trusted_hosts", "trust:level", "trust:", "TRUST:x"])
def test_spec_of_ours_that_nobody_knows_is_met_by_no_host(key):
    """Nova's validators know of them from microversion 2.86 on only."""
    assert demand_of({key: "trusted"}) == UNREADABLE
