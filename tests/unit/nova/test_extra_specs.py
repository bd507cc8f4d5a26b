# SPDX-License-Identifier: Apache-2.0
"""The validators, as Nova's loader finds them through the entry point."""

from __future__ import annotations

import pytest
from nova import exception
from nova.api.validation.extra_specs import validators

from e2etrust_core.trust_names import UNREADABLE
from e2etrust_nova.demand import demand_of


def test_entry_point_is_loaded_by_nova():
    assert "trust:trusted_host" in validators.VALIDATORS


def test_trusted_is_accepted():
    validators.validate("trust:trusted_host", "trusted")


@pytest.mark.parametrize("value", ["untrusted", "Trusted", "true", "", "trusted "])
def test_any_other_value_is_refused(value):
    with pytest.raises(exception.ValidationError):
        validators.validate("trust:trusted_host", value)


@pytest.mark.parametrize("value", ["1", "9"])
def test_levels_are_accepted(value):
    validators.validate("trust:min_level", value)


@pytest.mark.parametrize("value", ["0", "10", "-1", "two", "", "2.0"])
def test_any_other_level_is_refused(value):
    with pytest.raises(exception.ValidationError):
        validators.validate("trust:min_level", value)


@pytest.mark.parametrize(
    "value", ["1", " 2 ", "+3", "04", "0", "10", "-1", "two", "", "2.0", "1_0"]
)
def test_what_novas_api_takes_the_filter_can_read(value):
    try:
        validators.validate("trust:min_level", value)
    except exception.ValidationError:
        assert demand_of({"trust:min_level": value}) == UNREADABLE
    else:
        assert 1 <= demand_of({"trust:min_level": value}) <= 9


@pytest.mark.parametrize("name", ["trust:level", "trust:trusted_hosts", "trust:"])
def test_other_keys_of_our_namespace_are_refused(name):
    with pytest.raises(exception.ValidationError):
        validators.validate(name, "trusted")


def test_other_namespaces_are_left_alone():
    validators.validate("vendor:anything", "x")
