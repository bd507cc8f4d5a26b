# SPDX-License-Identifier: Apache-2.0
"""README's table of refusals names only codes that the code has; the docs have them all."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "doc" / "ext"))

from refusal_codes import refusals  # noqa: E402


def readme_codes() -> list[str]:
    rows = [
        line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| `")
    ]
    return [code for row in rows for code in re.findall(r"`([A-Z0-9_]+)`", row.split("|")[1])]


def test_every_code_in_the_readme_is_one_of_the_code():
    known = {refusal.code for refusal in refusals(ROOT)}
    assert len(readme_codes()) > 20
    assert [code for code in readme_codes() if code not in known] == []


def test_codes_are_short_upper_case_words():
    pattern = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
    codes = {refusal.code for refusal in refusals(ROOT)}
    assert [code for code in codes if not pattern.fullmatch(code) or len(code) > 24] == []
