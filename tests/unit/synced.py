# SPDX-License-Identifier: Apache-2.0
"""Which files a test's subject brings to the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def watch(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the list that every file and directory comes into when fsync(2) is called for it."""
    synced: list[Path] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    return synced
