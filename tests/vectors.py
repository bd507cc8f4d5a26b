# SPDX-License-Identifier: Apache-2.0
"""Captured evidence and published corpora, where they lie beside the checkout."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("E2ETRUST_VECTORS", Path(__file__).parents[2] / "shared" / "vectors"))


def vectors(name: str) -> Path:
    """Return the folder *name*, or skip the test and say so."""
    folder = ROOT / name
    if not folder.is_dir():
        pytest.skip(f"corpus test: no vectors at {folder} (set E2ETRUST_VECTORS)")
    return folder
