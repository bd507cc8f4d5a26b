# SPDX-License-Identifier: Apache-2.0
"""Files that are still there after a power cut."""

from __future__ import annotations

import os
from pathlib import Path


def sync_directory(path: Path) -> None:
    """Bring the names in *path* to the disk: a file's own fsync(2) says nothing of its name.

    :raises OSError: as fsync(2).
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
