# SPDX-License-Identifier: Apache-2.0
"""Logs of servers that are gone, which nothing else would remove."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from pathlib import Path

from e2etrust_nova.disk import mounts

_KEPT = 30 * 86400  # seconds since the last line
#: As logrotate names them too, with whatever settings.
_NAME = re.compile(r"disk-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.log.*")


def remove(directory: Path) -> None:
    """Remove the logs in *directory* that are old, but for those of disks that are served now.

    Whether a server is stopped or deleted nobody here knows.  What cannot be removed stays.
    """
    served = {view.instance for view in mounts.views()}
    for path in directory.iterdir():
        found = _NAME.fullmatch(path.name)
        if found and found[1] not in served:
            with suppress(OSError):
                if time.time() - path.lstat().st_mtime > _KEPT:
                    path.unlink()
