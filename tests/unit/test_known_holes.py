# SPDX-License-Identifier: Apache-2.0
"""The list of known holes in the docs names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "doc" / "source" / "contributor" / "known-holes.rst").read_text()
NAMED = re.findall(r"``(tests/[\w/]+\.py)::(\w+)``", PAGE)


def test_every_hole_has_a_test():
    holes = re.split(r"^(?=\S.*\n    \S)", PAGE, flags=re.MULTILINE)[1:]
    assert len(holes) == 25
    assert [hole.splitlines()[0] for hole in holes if "::test_" not in hole] == []


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_named_test_is_there(path, name):
    assert re.search(rf"^ *def {name}\(", (ROOT / path).read_text(), re.MULTILINE)


def test_test_of_a_cve_is_listed():
    """A test that bears a hole's name and is not listed would be lost sight of."""
    listed = {name for _, name in NAMED}
    ids = {re.match(r"test_((?:cve|ossn)(?:_\d+)+)", name) for name in listed}
    known = {found[1] for found in ids if found}
    there = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        there |= set(re.findall(r"def test_((?:cve|ossn)(?:_\d+)+)_", path.read_text()))
    assert there - known == set()
