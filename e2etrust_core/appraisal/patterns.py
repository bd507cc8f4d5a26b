# SPDX-License-Identifier: Apache-2.0
"""Patterns of a policy: for the whole text, ``*`` stands for any characters and ``?`` for any one.

All else stands for itself, brackets too: ``word[1]`` in a path, ``[vdso]`` in a name are no sets.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase, translate

WILD = "*?"
#: What may stand for names of hosts.  They hold no brackets, so that one is a set meant for
#: another tool: compute-[01-12] would be hosts 0, 1 and 2 to a shell, and none of them here.
HOST_PATTERN = r"^[A-Za-z0-9._*?-]{1,255}$"


def is_like(text: str, pattern: str) -> bool:
    """Is the whole of *text* as *pattern* has it?"""
    return fnmatchcase(text, _without_sets(pattern))


def narrowest(text: str) -> str:
    """Return the pattern that fits *text* and least besides: ``*`` in it stands as ``?`` does."""
    return text.replace("*", "?")


def compiled(pattern: str) -> re.Pattern[bytes]:
    """Return *pattern* for the UTF-8 of a text."""
    return re.compile(translate(_without_sets(pattern)).encode())


def _without_sets(pattern: str) -> str:
    return pattern.replace("[", "[[]")
