# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from e2etrust_core.errors import InputError
from e2etrust_core.sealed.key_name import may_use, named_for


def test_key_is_for_the_project_that_it_was_named_for_and_no_other():
    name = named_for("debian", "p1")
    assert may_use(name, "p1")
    assert not may_use(name, "p2")
    assert not may_use(name, "p")
    assert not may_use(name, None)


def test_word_counts_at_the_end_of_the_name_only():
    name = named_for("debian [e2etrust projects=p2]", "p1")
    assert may_use(name, "p1")
    assert not may_use(name, "p2")


def test_several_projects_can_be_named():
    assert may_use("debian [e2etrust projects=p1,p2]", "p2")


@pytest.mark.parametrize("name", [None, "", "debian", "[e2etrust projects=]"])
def test_name_that_says_nothing_keeps_nobody_out(name):
    assert may_use(name, "p1")


def test_name_fits_the_key_managers_column():
    name = named_for("x" * 300, "p" * 64)
    assert len(name) == 255
    assert not may_use(name, "p2")


@pytest.mark.parametrize("project", ["", "a,b", "a]", "x" * 65])
def test_what_is_no_project_is_refused(project):
    with pytest.raises(InputError):
        named_for("debian", project)
