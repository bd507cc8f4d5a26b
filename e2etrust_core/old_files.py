# SPDX-License-Identifier: Apache-2.0
"""Files that nobody needs any more after a while."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path


def remove_if_older(path: Path, seconds: float) -> None:
    """Remove *path* if nothing was written to it for so long; a link, and not what it leads to.

    What cannot be removed stays: it is in nobody's way.
    """
    with suppress(OSError):
        if time.time() - path.lstat().st_mtime > seconds:
            path.unlink()
