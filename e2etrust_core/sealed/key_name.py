# SPDX-License-Identifier: Apache-2.0
"""What the name of an image key says: in which projects servers may start with it.

The verifier reads the keys of all tenants.  Whoever has a copy of a sealed image could upload it as
an image of his own, start it, and be served its owner's key: so the name, which only the key's
owner chooses and nobody changes, says whose servers the key is for.
"""

from __future__ import annotations

import re

from e2etrust_core.errors import InputError

_PROJECT = "[A-Za-z0-9_-]{1,64}"
_NAME = re.compile(rf".*\[e2etrust projects=({_PROJECT}(?:,{_PROJECT})*)\]", re.DOTALL)
#: Barbican's column.
_LONGEST = 255


def named_for(name: str, project: str) -> str:
    """Return *name*, cut where it is too long, with the word that its key is for *project*.

    :raises InputError: that is no project's id.
    """
    if not re.fullmatch(_PROJECT, project):
        raise InputError("a project's id has 1 to 64 letters, digits, dashes or underscores")
    word = f" [e2etrust projects={project}]"
    return name[: _LONGEST - len(word)] + word


def may_use(name: str | None, project: str | None) -> bool:
    """Whether servers of *project* may start with the key of that *name*.

    A key whose name says nothing was made elsewhere, or by a release before: it is for whoever its
    owner lets the verifier serve.
    """
    found = _NAME.fullmatch(name or "")
    return found is None or project in found[1].split(",")
