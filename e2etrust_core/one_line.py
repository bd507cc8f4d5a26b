# SPDX-License-Identifier: Apache-2.0
"""Others' words on a line of ours."""

from __future__ import annotations

_LONGEST = 2000


def printable(text: str, longest: int = _LONGEST) -> str:
    """Return *text* on one line of bounded length (CVE-2022-23949: no made-up log lines)."""
    text = text[:longest]
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)
