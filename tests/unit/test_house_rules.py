# SPDX-License-Identifier: Apache-2.0
"""Rules for every file of the project: licence header, names, no eventlet."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEADER = "SPDX-License-Identifier: Apache-2.0"
#: Names that say nothing about what is inside.
EMPTY_NAMES = {"utils", "util", "common", "helpers", "helper", "misc"}
SCRIPTS = ("tools", "benchmarks", ".ci", "guest")


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def python_files() -> list[Path]:
    """Return our modules; an empty ``__init__.py`` has nothing to say or to license."""
    return [path for path in tracked() if path.suffix == ".py" and path.stat().st_size]


def scripts() -> list[Path]:
    return [
        path
        for path in tracked()
        if path.relative_to(ROOT).parts[0] in SCRIPTS and path.read_bytes().startswith(b"#!")
    ]


def relative(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def test_every_module_and_script_names_its_licence():
    files = {*python_files(), *scripts()}
    assert files
    missing = [path for path in files if HEADER not in "\n".join(path.read_text().split("\n")[:5])]
    assert relative(sorted(missing)) == []


def test_no_file_has_a_name_that_says_nothing():
    found = [path for path in python_files() if path.stem.strip("_") in EMPTY_NAMES]
    found += [path for path in python_files() if path.parent.name in EMPTY_NAMES]
    assert relative(found) == []


def test_nothing_of_ours_imports_eventlet_or_asyncio():
    pattern = re.compile(r"^\s*(import|from)\s+(eventlet|asyncio)\b", re.MULTILINE)
    assert relative([path for path in python_files() if pattern.search(path.read_text())]) == []


@pytest.mark.parametrize("script", ["tools/test", ".ci/run", "benchmarks/run"])
def test_commands_are_executable(script):
    assert (ROOT / script).stat().st_mode & 0o111
