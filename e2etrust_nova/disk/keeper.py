# SPDX-License-Identifier: Apache-2.0
"""The keeper: holds the FUSE connections, and starts a new worker when one dies.

One worker process per view, so that the two do not share an interpreter lock, and only one for
the view that is written: two would race over what is handed out again.  A worker's death is over
when waitpid says so: then no thread of it can still write, and FUSE_NOTIFY_RESEND (Linux 6.9)
makes the kernel hand out every request that it left unanswered.  An older kernel cannot: there
a worker's death ends the view with I/O errors instead of hanging the guest for ever.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import signal
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from types import FrameType

from e2etrust_nova.disk import fuse_protocol as fuse
from e2etrust_nova.disk import hardening
from e2etrust_nova.disk.file_server import FileServer
from e2etrust_nova.disk.following import FOLLOW_SIGNAL, Following
from e2etrust_nova.disk.views import View
from e2etrust_nova.errors import DiskServerError

LOG = logging.getLogger(__name__)
# A worker that dies more often than this is not saved by another one.
MAX_RESTARTS = 20
RESTART_WINDOW = 60.0  # seconds
THREADS = 4


@dataclass
class Connection:
    """One view on its FUSE device; `negotiated` once INIT was answered."""

    name: str
    device: int
    view: View
    negotiated: fuse.Negotiated | None = None
    worker: int = 0
    deaths: deque[float] = field(default_factory=deque)


class _Stop(Exception):  # noqa: N818 - a signal, not an error
    """SIGTERM."""


def shake_hands(connection: Connection) -> None:
    """Answer INIT, which the kernel sends at once after the mount.

    :raises DiskServerError: the kernel's protocol is too old, or the first request is another.
    :raises OSError: the connection is gone.
    """
    raw = os.read(connection.device, fuse.MAX_WRITE + 2 * fuse.PAGE)
    request = fuse.request(raw)
    if request.opcode != fuse.Opcode.INIT:
        raise DiskServerError("the kernel did not begin with FUSE_INIT")
    answer, connection.negotiated = fuse.negotiate(raw[fuse.IN_HEADER : request.length])
    os.writev(connection.device, [fuse.reply_head(request.unique, len(answer)), answer])
    if not connection.negotiated.can_resend:
        LOG.warning(
            "%s: this kernel cannot hand requests out again (Linux 6.9 can): "
            "if a worker dies, the server gets I/O errors",
            connection.name,
        )


class Keeper:
    """Supervises the workers of the connections it was given; single-threaded, as fork wants."""

    def __init__(self, connections: list[Connection], following: Following) -> None:
        self._connections = connections
        self._following = following
        self._follow_asked = False
        # Signals wake the poll that also waits for QEMU's end.
        self._wake, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def start(self) -> None:
        """Start every worker."""
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, _stop)
        signal.signal(signal.SIGCHLD, _nothing)
        signal.signal(FOLLOW_SIGNAL, self._on_follow)
        for connection in self._connections:
            self._fork(connection)

    def run(self) -> bool:
        """Stay until every view is unmounted.

        :returns: False if it ended otherwise: SIGTERM, or workers that keep dying.
        """
        try:
            while any(c.worker for c in self._connections):
                self._wait()
                while self._reap():
                    pass
            return True
        except _Stop:
            LOG.info("asked to stop")
        except DiskServerError as error:
            LOG.critical("%s", error)
        self._end_workers()
        return False

    def _on_follow(self, _signal: int, _frame: FrameType | None) -> None:
        self._follow_asked = True

    def _wait(self) -> None:
        """Sleep until a signal came or QEMU ended."""
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        if self._following.handle is not None:
            poll.register(self._following.handle, select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll()}
        with suppress(BlockingIOError):
            os.read(self._wake, 4096)
        if self._follow_asked:
            self._follow_asked = False
            self._following.begin()
        elif self._following.handle in ready:
            self._following.take_down()

    def _reap(self) -> bool:
        """See to one worker that ended; whether there was one."""
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            return False
        connection = next((c for c in self._connections if c.worker == pid), None)
        if connection is not None:
            self._see_to(connection, status)
        return True

    def _see_to(self, connection: Connection, status: int) -> None:
        pid, connection.worker = connection.worker, 0
        code = os.waitstatus_to_exitcode(status)
        if code == 0:
            LOG.info("%s: unmounted", connection.name)
            return
        LOG.error("%s: worker %d died (%d)", connection.name, pid, code)
        self._check_restart(connection)
        self._fork(connection)
        _resend(connection)

    def _check_restart(self, connection: Connection) -> None:
        if connection.negotiated is None or not connection.negotiated.can_resend:
            raise DiskServerError(f"{connection.name}: unanswered requests died with the worker")
        now, deaths = time.monotonic(), connection.deaths
        deaths.append(now)
        while deaths[0] < now - RESTART_WINDOW:
            deaths.popleft()
        if len(deaths) > MAX_RESTARTS:
            raise DiskServerError(f"{connection.name}: workers keep dying, giving up")

    def _fork(self, connection: Connection) -> None:
        keeper = os.getpid()
        connection.worker = os.fork()
        if connection.worker == 0:
            try:
                self._work(connection, keeper)
            except BaseException:
                LOG.exception("%s: the worker could not start", connection.name)
            finally:
                os._exit(72)
        LOG.info("%s: worker %d", connection.name, connection.worker)

    def _work(self, connection: Connection, keeper: int) -> None:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(FOLLOW_SIGNAL, signal.SIG_IGN)
        hardening.die_with_parent(keeper)
        for other in self._connections:
            if other is not connection:
                os.close(other.device)
        if not hardening.lock_memory():
            LOG.warning("%s: memory could not be locked and may be swapped", connection.name)
        FileServer(connection.device, connection.view, connection.name).run(THREADS)
        os._exit(0)

    def _end_workers(self) -> None:
        """Kill the workers; with the devices closed as this process ends, the views answer EIO."""
        for connection in self._connections:
            if connection.worker:
                os.kill(connection.worker, signal.SIGKILL)
                os.waitpid(connection.worker, 0)
                connection.worker = 0


def _resend(connection: Connection) -> None:
    try:
        os.write(connection.device, fuse.resend_notice())
    except OSError as error:
        # Unmounted between the worker's death and now: the new worker sees that as well.
        if error.errno not in (errno.ENODEV, errno.ENOTCONN, errno.EPERM):
            raise


def _nothing(_signal: int, _frame: FrameType | None) -> None:
    """Only to wake the poll."""


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise _Stop
