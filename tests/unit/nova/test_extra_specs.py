# SPDX-License-Identifier: Apache-2.0
"""The validators, as Nova's loader finds them through the entry point."""

from __future__ import annotations

import pytest
from nova import exception
from nova.api.validation.extra_specs import validators


def test_entry_point_is_loaded_by_nova():
    assert "trust:trusted_host" in validators.VALIDATORS


def test_trusted_is_accepted():
    validators.validate("trust:trusted_host", "trusted")


@pytest.mark.parametrize("value", ["untrusted", "Trusted", "true", "", "trusted "])
def test_any_other_value_is_refused(value):
    with pytest.raises(exception.ValidationError):
        validators.validate("trust:trusted_host", value)


@pytest.mark.parametrize("name", ["trust:min_level", "trust:trusted_hosts", "trust:"])
def test_other_keys_of_our_namespace_are_refused(name):
    with pytest.raises(exception.ValidationError):
        validators.validate(name, "trusted")


def test_other_namespaces_are_left_alone():
    validators.validate("vendor:anything", "x")
