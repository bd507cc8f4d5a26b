# SPDX-License-Identifier: Apache-2.0
"""Each of Nova's operations that the docs speak of has tests, and they are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "doc" / "source"
TESTED = re.findall(
    r"^(\S.*)\n((?:    \* ``test_\w+\.py::test_\w+``\n)+)",
    (DOCS / "contributor/testing.rst").read_text(),
    re.MULTILINE,
)


def test_every_operation_of_the_table_has_a_test():
    page = (DOCS / "admin/scheduling.rst").read_text()
    rows = re.findall(r"^(\S.*?)  +(?:not )?asked  ", page, re.MULTILINE)
    assert len(rows) > 20
    assert [operation for operation, _ in TESTED] == rows


def test_named_tests_are_there():
    there = {
        f"{path.name}::{name}"
        for folder in ("functional/nova/services", "unit/nova/hook")
        for path in (ROOT / "tests" / folder).glob("test_*.py")
        for name in re.findall(r"^ *def (test_\w+)\(", path.read_text(), re.MULTILINE)
    }
    named = {test for _, tests in TESTED for test in re.findall(r"``(.*)``", tests)}
    assert named - there == set()
