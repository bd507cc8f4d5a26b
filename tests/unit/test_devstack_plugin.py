# SPDX-License-Identifier: Apache-2.0
"""The DevStack plugin is shell that bash reads, and names commands and classes that there are."""

from __future__ import annotations

import importlib
import re
import subprocess
from importlib.metadata import entry_points
from pathlib import Path

import pytest

DEVSTACK = Path(__file__).resolve().parents[2] / "devstack"
TEXT = (DEVSTACK / "plugin.sh").read_text()


@pytest.mark.parametrize("name", ["plugin.sh", "settings"])
def test_bash_reads_it(name):
    done = subprocess.run(["bash", "-n", DEVSTACK / name], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_commands_that_it_runs_are_ours():
    ours = {one.name for one in entry_points(group="console_scripts")}
    run = set(re.findall(r"\$E2ETRUST_BIN_DIR/(e2etrust-[a-z-]+)", TEXT))
    assert {"e2etrust-agent", "e2etrust-verifier", "e2etrust-host-setup"} <= run <= ours


def test_classes_that_it_names_are_there():
    named = re.findall(r"\b(e2etrust_[\w.]+)\.([A-Z]\w+)", TEXT)
    assert len(named) == 2
    for module, name in named:
        assert hasattr(importlib.import_module(module), name)
    assert hasattr(importlib.import_module("e2etrust_verifier.api.wsgi"), "make_application")


def test_every_function_that_a_phase_calls_is_defined():
    defined = set(re.findall(r"^function (\w+)", TEXT, re.MULTILINE))
    phases = TEXT[TEXT.index('case "$1:$2"') :]
    called = set(re.findall(r"^\s+(\w+e2etrust\w*)\s*$", phases, re.MULTILINE))
    assert len(called) >= 8
    assert called <= defined
