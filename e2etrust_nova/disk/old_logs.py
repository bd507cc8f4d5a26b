# SPDX-License-Identifier: Apache-2.0
"""Logs of servers that are gone, which nothing else would remove."""

from __future__ import annotations

import re
from pathlib import Path

from e2etrust_core.old_files import remove_if_older
from e2etrust_nova.disk import mounts

_KEPT = 30 * 86400  # seconds since the last line
#: As logrotate names them too, with whatever settings.
_NAME = re.compile(r"disk-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.log.*")


def remove(directory: Path) -> None:
    """Remove the logs in *directory* that are old, but for those of disks that are served now.

    Whether a server is stopped or deleted nobody here knows.
    """
    served = {view.instance for view in mounts.views()}
    for path in directory.iterdir():
        found = _NAME.fullmatch(path.name)
        if found and found[1] not in served:
            remove_if_older(path, _KEPT)
