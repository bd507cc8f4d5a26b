# SPDX-License-Identifier: Apache-2.0
"""A worker's loop: takes FUSE requests off the device and answers them from a view.

Every request may be handed out again after a worker died over it, so each is harmless to do
twice.  Buffers are touched before the first request is read: a page fault in a process that is
being killed ends the request with EIO instead of handing it out again (seen on Linux 6.18).
"""

from __future__ import annotations

import errno
import logging
import os
import threading

from e2etrust_core.errors import E2ETrustError
from e2etrust_nova.disk import fuse_protocol as fuse
from e2etrust_nova.disk.views import View

LOG = logging.getLogger(__name__)
# All of a worker's memory is locked, so a thread should not ask for the usual 8 MiB.
_STACK_SIZE = 512 << 10
_FALLOC_KEEP_SIZE, _FALLOC_PUNCH_HOLE, _FALLOC_ZERO_RANGE = 0x01, 0x02, 0x10
_MAX_LOGGED = 100
_UNANSWERED = {fuse.Opcode.FORGET, fuse.Opcode.BATCH_FORGET, fuse.Opcode.INTERRUPT}


class Buffers:
    """One thread's memory: the head of a request, and data with two pages to spare."""

    def __init__(self) -> None:
        self.head = bytearray(b"\x01" * fuse.WRITE_HEAD)
        self.data = bytearray(fuse.MAX_WRITE + 2 * fuse.PAGE)
        for at in range(0, len(self.data), fuse.PAGE):
            self.data[at] = 1
        self.data[-1] = 1


class FileServer:
    """Serves one view on one FUSE device, in a few threads."""

    def __init__(self, device: int, view: View, name: str) -> None:
        self._device = device
        self._view = view
        self._name = name
        self._logged = 0

    def run(self, threads: int) -> None:
        """Serve until the view is unmounted."""
        threading.stack_size(_STACK_SIZE)
        pool = [threading.Thread(target=self._loop) for _ in range(threads - 1)]
        for thread in pool:
            thread.start()
        self._loop()
        for thread in pool:
            thread.join()

    def _loop(self) -> None:
        try:
            buffers = Buffers()
            while self._take(buffers):
                self._answer(buffers)
        except BaseException:
            # A thread that is gone would hold its request for ever: die whole, the keeper
            # starts the next worker and the kernel hands the request out again.
            LOG.exception("%s: a worker thread failed", self._name)
            os._exit(70)

    def _take(self, buffers: Buffers) -> bool:
        """Read one request; False once unmounted."""
        while True:
            try:
                os.readv(self._device, [buffers.head, buffers.data])
                return True
            except OSError as error:
                if error.errno == errno.ENODEV:
                    return False
                # ENOENT: the request was withdrawn while it was being read.
                if error.errno not in (errno.ENOENT, errno.EINTR, errno.EAGAIN):
                    raise

    def _answer(self, buffers: Buffers) -> None:
        request = fuse.request(buffers.head)
        if request.opcode in _UNANSWERED:
            return
        try:
            body = self._serve(request, buffers)
        except OSError as error:
            self._log(request, error)
            self._send(fuse.reply_head(request.unique, 0, fuse.clean_errno(error)))
        except E2ETrustError as error:
            self._log(request, error)
            self._send(fuse.reply_head(request.unique, 0, errno.EIO))
        else:
            self._send(fuse.reply_head(request.unique, len(body)), body)

    def _serve(self, request: fuse.Request, buffers: Buffers) -> bytes | memoryview:
        opcode, view = request.opcode, self._view
        if opcode == fuse.Opcode.READ:
            return self._read(buffers)
        if opcode == fuse.Opcode.WRITE:
            offset, size = fuse.span(memoryview(buffers.head)[fuse.IN_HEADER :])
            view.write(memoryview(buffers.data)[:size], offset)
            return fuse.written(size)
        if opcode == fuse.Opcode.FSYNC or opcode == fuse.Opcode.FLUSH:
            view.sync()
            return b""
        if opcode == fuse.Opcode.GETATTR:
            return fuse.attributes(view.attributes())
        if opcode == fuse.Opcode.SETATTR:
            view.change(fuse.attribute_change(_body(request, buffers)))
            return fuse.attributes(view.attributes())
        if opcode == fuse.Opcode.OPEN:
            return fuse.opened()
        if opcode == fuse.Opcode.FALLOCATE:
            return self._fallocate(_body(request, buffers))
        if opcode == fuse.Opcode.STATFS:
            return view.space()
        if opcode in (fuse.Opcode.RELEASE, fuse.Opcode.ACCESS, fuse.Opcode.DESTROY):
            return b""
        # The kernel then does it itself (lseek, locks) or tells its caller "not supported".
        raise _Unknown(opcode)

    def _read(self, buffers: Buffers) -> memoryview:
        offset, size = fuse.span(memoryview(buffers.head)[fuse.IN_HEADER :])
        room = buffers.data
        if size + 2 * fuse.PAGE > len(room):
            room = bytearray(size + 2 * fuse.PAGE)
        return self._view.read(room, offset, size)

    def _fallocate(self, body: bytes) -> bytes:
        offset, length, mode = fuse.fallocate(body)
        if mode not in (
            _FALLOC_PUNCH_HOLE | _FALLOC_KEEP_SIZE,
            _FALLOC_ZERO_RANGE | _FALLOC_KEEP_SIZE,
        ) and not (mode == _FALLOC_ZERO_RANGE and offset + length <= self._view.size):
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        self._view.discard(offset, length)
        return b""

    def _send(self, head: bytes, body: bytes | memoryview = b"") -> None:
        try:
            os.writev(self._device, [head, body] if len(body) else [head])
        except OSError as error:
            # ENOENT: the caller was killed and waits no more; ENODEV: unmounted meanwhile.
            if error.errno not in (errno.ENOENT, errno.ENODEV):
                raise

    def _log(self, request: fuse.Request, error: Exception) -> None:
        if isinstance(error, _Unknown) or self._logged > _MAX_LOGGED:
            return
        self._logged += 1
        LOG.error("%s: request %d failed: %s", self._name, request.opcode, error)
        if self._logged > _MAX_LOGGED:
            LOG.error("%s: further failures are not logged", self._name)


class _Unknown(OSError):
    """An operation that is not spoken here."""

    def __init__(self, opcode: int) -> None:
        super().__init__(errno.ENOSYS, f"operation {opcode}")


def _body(request: fuse.Request, buffers: Buffers) -> bytes:
    """The body of a small request, which lies across both buffers."""
    rest = max(0, request.length - fuse.WRITE_HEAD)
    return bytes(buffers.head[fuse.IN_HEADER :]) + bytes(buffers.data[:rest])
