# SPDX-License-Identifier: Apache-2.0
"""The two files that are served: the sealed base in plain, read-only, and the container, both ways.

Owner and mode: libvirt hands a disk to QEMU's account before it starts QEMU and takes it back
after.  For the container that goes to the file below, so that it is there after detach; for the
base it stays with the view.  Other accounts' bits are never shown: what can be read here is plain.
"""

from __future__ import annotations

import abc
import errno
import mmap
import os
import stat
import struct
from typing import Protocol

from e2etrust_nova.disk.cipher_file import CipherFile
from e2etrust_nova.disk.fuse_protocol import AttributeChange, Attributes, statfs

_OWNER = struct.Struct("=III")


class PlainReader(Protocol):
    """What opens the sealed base: e2etrust_core.sealed.SealedReader."""

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Fill the buffer from `offset`; fewer bytes only at the end."""


class View(abc.ABC):
    """One file as FUSE shows it.  Offsets and sizes are bytes; methods raise OSError."""

    def __init__(self, size: int) -> None:
        self.size = size

    @abc.abstractmethod
    def read(self, buffer: bytearray, offset: int, size: int) -> memoryview:
        """Read into `buffer`, which has two pages more than `size`; return the part that counts."""

    @abc.abstractmethod
    def write(self, data: memoryview, offset: int) -> None:
        """Write; `data` may be overwritten."""

    @abc.abstractmethod
    def discard(self, offset: int, size: int) -> None:
        """Make a span read as zeros."""

    @abc.abstractmethod
    def sync(self) -> None:
        """Bring to the disk what was written."""

    @abc.abstractmethod
    def attributes(self) -> Attributes:
        """Owner, mode and size."""

    @abc.abstractmethod
    def change(self, change: AttributeChange) -> None:
        """Change owner or mode; another size is refused."""

    @abc.abstractmethod
    def space(self) -> bytes:
        """fuse_statfs_out of the file system below."""


class BaseView(View):
    """The sealed base, decrypted as it is read.  `owner` is (uid, gid) to begin with."""

    def __init__(self, reader: PlainReader, size: int, owner: tuple[int, int]) -> None:
        super().__init__(size)
        self._reader = reader
        # Shared with the workers that come after this one dies.
        self._owner = mmap.mmap(-1, mmap.PAGESIZE)
        _OWNER.pack_into(self._owner, 0, 0o440, *owner)

    def read(self, buffer: bytearray, offset: int, size: int) -> memoryview:
        wanted = max(0, min(size, self.size - offset))
        view = memoryview(buffer)[:wanted]
        done = 0
        while done < wanted:
            count = self._reader.read_into(view[done:], offset + done)
            if count <= 0:
                raise OSError(errno.EIO, "the sealed base ended early")
            done += count
        return view

    def write(self, data: memoryview, offset: int) -> None:  # noqa: ARG002
        raise _read_only()

    def discard(self, offset: int, size: int) -> None:  # noqa: ARG002
        raise _read_only()

    def sync(self) -> None:
        """Nothing was written."""

    def attributes(self) -> Attributes:
        mode, uid, gid = _OWNER.unpack_from(self._owner)
        return Attributes(self.size, mode, uid, gid, self.size // 512, 0)

    def change(self, change: AttributeChange) -> None:
        if change.size is not None:
            raise _read_only()
        mode, uid, gid = _OWNER.unpack_from(self._owner)
        mode = mode if change.mode is None else change.mode & 0o550
        uid = uid if change.uid is None else change.uid
        gid = gid if change.gid is None else change.gid
        _OWNER.pack_into(self._owner, 0, mode, uid, gid)

    def space(self) -> bytes:
        return statfs(self.size // 4096, 0, 0, 4096)


class ContainerView(View):
    """The plaintext of the container that `descriptor` is open on."""

    def __init__(self, file: CipherFile, descriptor: int) -> None:
        super().__init__(file.size)
        self._file = file
        self._descriptor = descriptor

    def read(self, buffer: bytearray, offset: int, size: int) -> memoryview:
        return self._file.read(buffer, offset, size)

    def write(self, data: memoryview, offset: int) -> None:
        self._file.write(data, offset)

    def discard(self, offset: int, size: int) -> None:
        self._file.discard(offset, size)

    def sync(self) -> None:
        self._file.sync()

    def attributes(self) -> Attributes:
        below = os.fstat(self._descriptor)
        mode = stat.S_IMODE(below.st_mode) & 0o770
        mtime = int(below.st_mtime)
        return Attributes(self.size, mode, below.st_uid, below.st_gid, below.st_blocks, mtime)

    def change(self, change: AttributeChange) -> None:
        if change.size is not None and change.size != self.size:
            raise OSError(errno.EINVAL, "the size is fixed")
        if change.uid is not None or change.gid is not None:
            uid = -1 if change.uid is None else change.uid
            gid = -1 if change.gid is None else change.gid
            os.fchown(self._descriptor, uid, gid)
        if change.mode is not None:
            os.fchmod(self._descriptor, stat.S_IMODE(change.mode))

    def space(self) -> bytes:
        below = os.fstatvfs(self._descriptor)
        return statfs(below.f_blocks, below.f_bfree, below.f_bavail, below.f_frsize)


def _read_only() -> OSError:
    return OSError(errno.EROFS, os.strerror(errno.EROFS))
