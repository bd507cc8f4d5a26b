# SPDX-License-Identifier: Apache-2.0
"""What flavor and image ask."""

from __future__ import annotations

import pytest

from e2etrust_nova.demand import Demand, demand_of


def test_flavor_without_our_extra_spec_asks_nothing():
    assert demand_of({"hw:cpu_policy": "shared"}) is Demand.NOTHING


def test_flavor_with_the_extra_spec_asks_for_trust():
    assert demand_of({"trust:trusted_host": "trusted"}) is Demand.TRUSTED


@pytest.mark.parametrize("value", ["untrusted", "Trusted", "true", "", " trusted"])
def test_other_values_are_never_read_as_asking_nothing(value):
    assert demand_of({"trust:trusted_host": value}) is Demand.UNREADABLE


def test_unreadable_value_outweighs_a_trait():
    specs = {"trust:trusted_host": "x", "trait:CUSTOM_E2ETRUST_TRUSTED": "required"}
    assert demand_of(specs) is Demand.UNREADABLE


def test_required_trait_in_flavor_or_image_asks_for_trust():
    assert demand_of({"trait:CUSTOM_E2ETRUST_TRUSTED": "required"}) is Demand.TRUSTED
    assert demand_of({}, ["CUSTOM_E2ETRUST_TRUSTED"]) is Demand.TRUSTED


def test_other_traits_ask_nothing():
    assert demand_of({"trait:CUSTOM_E2ETRUST_TRUSTED": "forbidden"}) is Demand.NOTHING
    assert demand_of({}, ["HW_CPU_X86_AVX2"]) is Demand.NOTHING
