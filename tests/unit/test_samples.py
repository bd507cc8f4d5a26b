# SPDX-License-Identifier: Apache-2.0
"""The samples in etc/ are what the code says today."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("what", ["config", "policy"])
def test_samples_are_current(what):
    run = subprocess.run(
        [ROOT / "tools/genconfig", what, "--check"], capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stdout + run.stderr
