# SPDX-License-Identifier: Apache-2.0
"""A span of a file whose bytes are SM4-XTS ciphertext, read and written as plaintext.

Sectors of 4096 bytes; the tweak is the sector's number within the span.  **A sector whose
ciphertext is all zero reads as zeros**: it was never written, or was discarded.  That keeps the
file sparse, also through copies that write holes out as zeros.  It costs nothing that XTS had to
give: XTS has no integrity, so who can write to the file can put garbage or an older sector
anywhere already; what a zeroed sector adds is that he chooses zeros.  A written sector that
encrypts to 4096 zero bytes has probability 2^-32768.  What it does show is which sectors are in
use.
"""

from __future__ import annotations

import ctypes
import errno
import os

from e2etrust_core.sealed.sm4xts import Sm4Xts
from e2etrust_nova.disk.range_lock import RangeLock

SECTOR = 4096
# fallocate(2): the file's size stays, the span's blocks go.
_PUNCH_HOLE_KEEP_SIZE = 0x02 | 0x01
_ZEROS = bytes(SECTOR)
_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


class CipherFile:
    """`size` bytes of plaintext behind `descriptor`, from byte `start` of the file on.

    Safe for threads.  Offsets and sizes are bytes of plaintext; none needs to be aligned.
    """

    def __init__(self, descriptor: int, start: int, size: int, cipher: Sm4Xts) -> None:
        if start % SECTOR or size % SECTOR:
            raise ValueError("a cipher file starts and ends on a sector")
        self._descriptor = descriptor
        self._start = start
        self.size = size
        self._cipher = cipher
        self._lock = RangeLock()

    def read(self, buffer: bytearray, offset: int, size: int) -> memoryview:
        """Read up to `size` bytes at `offset`; fewer only at the end.

        :param buffer: room for `size` rounded up to whole sectors, plus one sector.
        :returns: the part of `buffer` that holds the plaintext.
        :raises OSError: the file cannot be read.
        """
        end = min(offset + size, self.size)
        if offset >= end:
            return memoryview(buffer)[:0]
        first, last = offset // SECTOR, -(-end // SECTOR)
        with self._lock.hold(first, last, shared=True):
            self._fetch(buffer, first, last)
        self._open(buffer, first, last)
        skip = offset - first * SECTOR
        return memoryview(buffer)[skip : skip + end - offset]

    def write(self, data: memoryview, offset: int) -> None:
        """Write all of `data` at `offset`; `data` is overwritten with ciphertext as it goes.

        :raises OSError: no room (ENOSPC), or past the end (EFBIG); then nothing of it, or the
            beginning of it, was written, as with any file.
        """
        size = len(data)
        end = offset + size
        if end > self.size:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        first, last = offset // SECTOR, -(-end // SECTOR)
        with self._lock.hold(first, last):
            if offset % SECTOR or end % SECTOR:
                data = self._merged(data, offset, first, last)
            self._cipher.encrypt_into(data, first, SECTOR)
            self._store(data, first)

    def discard(self, offset: int, size: int) -> None:
        """Make a span read as zeros; whole sectors give their room back.

        :raises OSError: as for write.
        """
        end = min(offset + size, self.size)
        first, last = -(-offset // SECTOR), end // SECTOR
        if first >= last:
            self._zero(offset, end)
            return
        self._zero(offset, first * SECTOR)
        self._zero(last * SECTOR, end)
        with self._lock.hold(first, last):
            at, length = self._start + first * SECTOR, (last - first) * SECTOR
            if _libc.fallocate(self._descriptor, _PUNCH_HOLE_KEEP_SIZE, at, length):
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))

    def sync(self) -> None:
        """Bring what was written to the disk.

        :raises OSError: it could not be; what was written since the last sync may be lost.
        """
        os.fdatasync(self._descriptor)

    def _zero(self, offset: int, end: int) -> None:
        if offset < end:
            self.write(memoryview(bytearray(end - offset)), offset)

    def _fetch(self, buffer: bytearray, first: int, last: int) -> None:
        """Fill the buffer with the ciphertext of sectors `first` up to `last`."""
        size = (last - first) * SECTOR
        view = memoryview(buffer)[:size]
        done = 0
        while done < size:
            at = self._start + first * SECTOR + done
            count = os.preadv(self._descriptor, [view[done:]], at)
            if not count:
                raise OSError(errno.EIO, "the container is shorter than its header says")
            done += count

    def _open(self, buffer: bytearray, first: int, last: int) -> None:
        """Decrypt sectors `first` up to `last` in place, but for those that are all zero."""
        view = memoryview(buffer)
        size = (last - first) * SECTOR
        run = 0  # where the sectors begin that are ciphertext and not decrypted yet
        for at in range(0, size, SECTOR):
            if buffer.startswith(_ZEROS, at):
                self._decrypt(view[run:at], first + run // SECTOR)
                run = at + SECTOR
        self._decrypt(view[run:size], first + run // SECTOR)

    def _decrypt(self, view: memoryview, sector: int) -> None:
        if len(view):
            self._cipher.decrypt_into(view, sector, SECTOR)

    def _merged(self, data: memoryview, offset: int, first: int, last: int) -> memoryview:
        """Whole sectors: what stands there, with `data` laid over it."""
        whole = bytearray((last - first) * SECTOR)
        edge = bytearray(SECTOR)
        for sector in {first, last - 1}:
            self._fetch(edge, sector, sector + 1)
            self._open(edge, sector, sector + 1)
            at = (sector - first) * SECTOR
            whole[at : at + SECTOR] = edge
        skip = offset - first * SECTOR
        whole[skip : skip + len(data)] = data
        return memoryview(whole)

    def _store(self, data: memoryview, first: int) -> None:
        at, done = self._start + first * SECTOR, 0
        while done < len(data):
            done += os.pwrite(self._descriptor, data[done:], at + done)
