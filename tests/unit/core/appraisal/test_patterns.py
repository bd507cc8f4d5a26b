# SPDX-License-Identifier: Apache-2.0
"""Patterns mean the same wherever a policy has them."""

from __future__ import annotations

import pytest

from e2etrust_core.appraisal.dm_rules import DmRule
from e2etrust_core.appraisal.ima_rules import ImaRules
from e2etrust_core.appraisal.patterns import compiled, is_like, narrowest
from e2etrust_core.evidence.device_mapper import DmDevice

CASES = [
    ("/var/lib/x", "/var/*", True),
    ("/var/lib/x", "/var", False),
    ("/var/libx", "/var/lib?", True),
    ("a[1]", "a[1]", True),
    ("a1", "a[1]", False),
    ("a]b", "a]b", True),
    ("[!a]", "[!a]", True),
    ("b", "[!a]", False),
    ("[[]", "[[]", True),
    ("\\x\ny", "\\x\n?", True),
]


@pytest.mark.parametrize(("text", "pattern", "fits"), CASES)
def test_brackets_stand_for_themselves_everywhere(text, pattern, fits):
    assert is_like(text, pattern) is fits
    assert bool(compiled(pattern).match(text.encode())) is fits
    assert DmRule(name=pattern).is_of(DmDevice(text, "")) is fits
    excluded = ImaRules("sha256", "sha256", exclude=(pattern,)).excluded_by(text.encode())
    assert (excluded == 0) is fits


def test_narrowest_pattern_of_a_text_fits_it():
    for text in ("vg-a", "a*b", "a?b", "a[1]"):
        assert is_like(text, narrowest(text))
    assert not is_like("axyb", narrowest("a*b"))
