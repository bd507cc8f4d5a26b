# SPDX-License-Identifier: Apache-2.0
"""The views go with the QEMU process they were put up for, whether or not a hook says so.

Were the hook taken away from a running libvirtd, nobody would call detach(), and the next start
would find the disk still open.  So the keeper watches the process itself.
"""

from __future__ import annotations

import logging
import os
import signal
from contextlib import suppress

from e2etrust_nova.disk import mounts
from e2etrust_nova.disk.model import Places
from e2etrust_nova.errors import DiskServerError

LOG = logging.getLogger(__name__)
_UNMOUNT_PATIENCE = 3.0  # seconds
#: Tells the keeper that the file with QEMU's process id was written.
FOLLOW_SIGNAL = signal.SIGUSR1


def ask_to_follow(places: Places, keeper: int | None, qemu: int) -> None:
    """Have the keeper take its views down when process *qemu* ends.

    :raises DiskServerError: there is no keeper to ask.
    """
    if keeper is None:
        raise DiskServerError("the server's disk server does not run", code="DISK_SERVER_GONE")
    unfinished = places.qemu_pid_file.with_suffix(".new")
    unfinished.write_text(f"{qemu}\n")
    unfinished.rename(places.qemu_pid_file)
    os.kill(keeper, FOLLOW_SIGNAL)


class Following:
    """The keeper's side: a descriptor that becomes readable when QEMU ends."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._handle: int | None = None

    @property
    def handle(self) -> int | None:
        """The pidfd to poll; None while nothing is followed."""
        return self._handle

    def begin(self) -> None:
        """Read whom to follow.  A process that is gone already ends the views at once."""
        self._close()
        try:
            pid = int(self._places.qemu_pid_file.read_text())
            self._handle = os.pidfd_open(pid)
        except (OSError, ValueError) as error:
            LOG.warning("the process to follow is gone: %s", error)
            self.take_down()
            return
        LOG.info("following QEMU %d", pid)

    def take_down(self) -> None:
        """Unmount this server's views; the workers end with them."""
        self._close()
        LOG.info("QEMU ended: taking the views down")
        for view in reversed(mounts.views(self._places.instance)):
            with suppress(OSError):
                mounts.unmount(view.path, _UNMOUNT_PATIENCE)

    def _close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
