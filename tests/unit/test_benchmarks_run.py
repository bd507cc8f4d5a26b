# SPDX-License-Identifier: Apache-2.0
"""benchmarks/run over benchmarks that are made up here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).resolve().parents[2] / "benchmarks/run"


@pytest.fixture
def home(tmp_path) -> Path:
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").symlink_to(sys.executable)
    shutil.copy(RUN, tmp_path / "benchmarks/run")
    return tmp_path


def put(home: Path, name: str, body: str) -> None:
    text = f'"""Measures {name}."""\nimport json, sys, threading\n{body}\n'
    (home / f"benchmarks/{name}.py").write_text(text)


def measured(name: str, *, holds: bool) -> str:
    line = json.dumps({"name": name, "ratio": 1.5, "goal": 1.0, "holds": holds})
    return f"print('some words')\nprint({line!r})\nsys.exit({int(not holds)})"


def run(home: Path, *words: str, seconds: str = "30") -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "E2ETRUST_BENCHMARK_SECONDS": seconds}
    command = [home / "benchmarks/run", *words]
    return subprocess.run(command, capture_output=True, text=True, env=env, check=False)


def test_all_end_with_a_table_and_say_that_goals_hold(home):
    put(home, "first", measured("first", holds=True))
    put(home, "second", measured("second", holds=True))
    told = run(home)
    assert told.returncode == 0
    rows = [line.split() for line in told.stdout.splitlines()]
    assert rows == [
        ["benchmark", "ratio", "goal", "holds"],
        ["first", "1.5", "1.0", "yes"],
        ["second", "1.5", "1.0", "yes"],
    ]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (measured("bad", holds=False), "NO"),
        ("raise SystemExit('no database')", "NOT MEASURED"),
        ("print('no JSON')", "NOT MEASURED"),
        ("threading.Event().wait()", "NOT MEASURED"),
    ],
    ids=["missed", "failed", "silent", "endless"],
)
def test_one_that_is_not_good_does_not_keep_the_others_from_running(home, body, said):
    put(home, "bad", body)
    put(home, "good", measured("good", holds=True))
    told = run(home, "--json", seconds="2" if "wait" in body else "30")
    assert told.returncode == 1
    table = told.stdout.splitlines()
    assert table[1].endswith(said)
    assert table[2].endswith("yes")
    assert [one["holds"] for one in json.loads(table[-1])] == [False, True]


def test_one_alone_says_by_its_exit_whether_its_goal_holds(home):
    put(home, "good", measured("good", holds=True))
    put(home, "bad", measured("bad", holds=False))
    assert run(home, "good", "--json").returncode == 0
    assert json.loads(run(home, "bad", "--json").stdout.splitlines()[-1])["name"] == "bad"
    assert run(home, "bad").returncode == 1


def test_help_names_each_and_what_is_none_is_wrong_use(home):
    put(home, "good", measured("good", holds=True))
    told = run(home, "--help").stdout
    assert "good        Measures good." in told
    wrong = run(home, "none")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "there are: good" in wrong.stderr
