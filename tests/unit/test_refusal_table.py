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
    assert len(readme_codes()) > 10
    assert [code for code in readme_codes() if code not in known] == []


def test_codes_are_short_upper_case_words():
    pattern = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
    codes = {refusal.code for refusal in refusals(ROOT)}
    assert [code for code in codes if not pattern.fullmatch(code) or len(code) > 24] == []


def test_codes_are_found_however_they_are_said(tmp_path):
    module = tmp_path / "e2etrust_core" / "module.py"
    module.parent.mkdir()
    module.write_text(
        'NAMED = "NAMED_CODE"\n'
        "class Wrong(Exception):\n"
        '    """It is wrong."""\n'
        '    code = "OF_A_CLASS"\n'
        'Wrong("words", code="BY_KEYWORD" if x else "OR_ELSE", remedy="do")\n'
        'Refusal(check.code or "BY_DEFAULT", "words", "do")\n'
        'messages.Refusal("WITHOUT_REMEDY", "words")\n'
        'CheckResult("check", "fail", "words", module.NAMED, "do")\n'
    )
    assert [(one.code, one.when, one.remedy) for one in refusals(tmp_path)] == [
        ("BY_DEFAULT", "words", "do"),
        ("BY_KEYWORD", "words", "do"),
        ("NAMED_CODE", "words", "do"),
        ("OF_A_CLASS", "It is wrong.", ""),
        ("OR_ELSE", "words", "do"),
        ("WITHOUT_REMEDY", "words", ""),
    ]


def test_every_refusal_says_what_to_do():
    #: What stands for a check that could not be made: the one that failed before says it.
    silent = {"NOT_REACHED"}
    assert [r for r in refusals(ROOT) if not r.remedy and r.code not in silent] == []
