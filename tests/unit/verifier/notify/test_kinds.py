# SPDX-License-Identifier: Apache-2.0
"""Every event that the verifier writes has a type and a priority to be told under."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import e2etrust_verifier
from e2etrust_verifier.notify import kinds

ROOM = Path(e2etrust_verifier.__file__).parent
ADDING = {"events.add", "events.add_refused"}


def written_kinds() -> set[str]:
    """The second argument of each call that adds an event."""
    found = set()
    for path in ROOM.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ADDING:
                assert isinstance(node.args[1], ast.Constant), f"{path}: kinds are literals"
                found.add(node.args[1].value)
    return found


def test_the_table_is_what_is_written():
    assert written_kinds() == set(kinds.KINDS)


def test_types_are_of_the_form_that_standard_webhooks_ask_for_and_no_two_are_the_same():
    types = [kinds.kind(name).type for name in kinds.KINDS]
    assert all(re.fullmatch(r"e2etrust(\.[a-z_]+){2}", one) for one in types)
    assert len(set(types)) == len(types)


def test_kind_of_another_release_is_told_under_its_own_name():
    told = kinds.kind("host-moved")
    assert (told.type, told.priority) == ("e2etrust.event.host_moved", "info")


def test_docs_name_every_type_with_its_priority():
    text = (ROOM.parent / "doc/source/admin/notifications.rst").read_text()
    told = dict(re.findall(r"^``(e2etrust\.\S+)``\s+(info|warn|error)\s", text, re.MULTILINE))
    assert told == {one.type: one.priority for one in map(kinds.kind, kinds.KINDS)}
