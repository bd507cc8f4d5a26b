# SPDX-License-Identifier: Apache-2.0
"""The part of the FUSE kernel protocol (linux/fuse.h, 7.31 and later) that one regular file needs.

Pure encoders and decoders; sizes and offsets are bytes, numbers native byte order, as the
protocol has it.  The mount's root inode *is* the file.
"""

from __future__ import annotations

import enum
import errno
import stat
import struct
from dataclasses import dataclass

from e2etrust_nova.errors import DiskServerError

MAJOR, MINOR = 7, 31
ROOT_ID = 1
MAX_WRITE = 1 << 20
PAGE = 4096
# Bytes of a WRITE request that stand before its data: fuse_in_header and fuse_write_in.
WRITE_HEAD = 80
IN_HEADER = 40
OUT_HEADER = 16

FOPEN_DIRECT_IO = 1 << 0
FOPEN_PARALLEL_DIRECT_WRITES = 1 << 6

INIT_ASYNC_READ = 1 << 0
INIT_BIG_WRITES = 1 << 5
INIT_ASYNC_DIO = 1 << 15
INIT_MAX_PAGES = 1 << 22
INIT_EXT = 1 << 30
# 64-bit flags; the upper half travels in flags2 (linux/fuse.h 7.40).
INIT_HAS_RESEND = 1 << 39
NOTIFY_RESEND = 7

_ATTR_VALID_SECONDS = 3600

_in_header = struct.Struct("=IIQQIIIHH")
_out_header = struct.Struct("=IiQ")
_init_in = struct.Struct("=IIII")
_init_in_ext = struct.Struct("=IIIII")
_init_out = struct.Struct("=IIIIHHIIHHI28x")
_attr_out = struct.Struct("=QII" + "QQQQQQ" + "IIIIIIIIII")
_setattr_in = struct.Struct("=IIQQQQQQIIIIIIII")
_open_out = struct.Struct("=QII")
_read_in = struct.Struct("=QQII")
_write_out = struct.Struct("=II")
_statfs_out = struct.Struct("=QQQQQIIII24x")
_fallocate_in = struct.Struct("=QQQII")


class Opcode(enum.IntEnum):
    """enum fuse_opcode, the ones that get an answer of their own here."""

    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    FLUSH = 25
    INIT = 26
    ACCESS = 34
    INTERRUPT = 36
    DESTROY = 38
    BATCH_FORGET = 42
    FALLOCATE = 43


class SetAttr(enum.IntFlag):
    """FATTR_*: which fields of fuse_setattr_in count."""

    MODE = 1 << 0
    UID = 1 << 1
    GID = 1 << 2
    SIZE = 1 << 3


@dataclass(frozen=True, slots=True)
class Request:
    """fuse_in_header."""

    length: int
    opcode: int
    unique: int
    node: int


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a file shows: size in bytes, mode with its type bits, owner, times in seconds."""

    size: int
    mode: int
    uid: int
    gid: int
    blocks: int
    mtime: int


@dataclass(frozen=True, slots=True)
class AttributeChange:
    """fuse_setattr_in; a field is None where the caller leaves it as it is."""

    mode: int | None
    uid: int | None
    gid: int | None
    size: int | None


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What INIT settled: whether the kernel hands unanswered requests out again."""

    minor: int
    can_resend: bool


def request(head: bytes | bytearray | memoryview) -> Request:
    """Decode the header of a request."""
    length, opcode, unique, node, _, _, _, _, _ = _in_header.unpack_from(head)
    return Request(length, opcode, unique, node)


def reply_head(unique: int, size: int = 0, error: int = 0) -> bytes:
    """Encode fuse_out_header for an answer with `size` bytes of body; `error` is an errno."""
    return _out_header.pack(OUT_HEADER + size, -error, unique)


def resend_notice() -> bytes:
    """Encode FUSE_NOTIFY_RESEND: hand every unanswered request out again (Linux 6.9)."""
    return _out_header.pack(OUT_HEADER, NOTIFY_RESEND, 0)


def negotiate(body: bytes | memoryview) -> tuple[bytes, Negotiated]:
    """Answer INIT.

    :returns: fuse_init_out, and what it settles.
    :raises DiskServerError: the kernel speaks another major version or one before 7.31.
    """
    major, minor, readahead, flags = _init_in.unpack_from(body)
    if major != MAJOR or minor < MINOR:
        raise DiskServerError(
            f"this kernel speaks FUSE {major}.{minor}, at least {MAJOR}.{MINOR} is needed",
            code="KERNEL_TOO_OLD",
            remedy="Run Linux 5.4 or later.",
        )
    if flags & INIT_EXT and len(body) >= _init_in_ext.size:
        flags |= _init_in_ext.unpack_from(body)[4] << 32
    wanted = INIT_ASYNC_READ | INIT_BIG_WRITES | INIT_ASYNC_DIO | INIT_MAX_PAGES
    answer = _init_out.pack(
        MAJOR, MINOR, readahead, flags & wanted, 64, 48, MAX_WRITE, 1, MAX_WRITE // PAGE, 0, 0
    )
    return answer, Negotiated(minor, bool(flags & INIT_HAS_RESEND))


def attributes(shown: Attributes) -> bytes:
    """Encode fuse_attr_out."""
    t = shown.mtime
    return _attr_out.pack(
        _ATTR_VALID_SECONDS,
        0,
        0,
        ROOT_ID,
        shown.size,
        shown.blocks,
        t,
        t,
        t,
        0,
        0,
        0,
        stat.S_IFREG | stat.S_IMODE(shown.mode),
        1,
        shown.uid,
        shown.gid,
        0,
        PAGE,
        0,
    )


def attribute_change(body: bytes | memoryview) -> AttributeChange:
    """Decode fuse_setattr_in; times are not kept and so not looked at."""
    fields = _setattr_in.unpack_from(body)
    valid = SetAttr(fields[0] & 0xF)
    return AttributeChange(
        mode=fields[11] if SetAttr.MODE in valid else None,
        uid=fields[13] if SetAttr.UID in valid else None,
        gid=fields[14] if SetAttr.GID in valid else None,
        size=fields[3] if SetAttr.SIZE in valid else None,
    )


def opened() -> bytes:
    """Encode fuse_open_out: no page cache above us, so nothing decrypted stays in the host's."""
    return _open_out.pack(0, FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES, 0)


def span(body: bytes | memoryview) -> tuple[int, int]:
    """Decode offset and size from fuse_read_in or fuse_write_in."""
    _, offset, size, _ = _read_in.unpack_from(body)
    return offset, size


def written(size: int) -> bytes:
    """Encode fuse_write_out."""
    return _write_out.pack(size, 0)


def statfs(blocks: int, free: int, available: int, block_size: int) -> bytes:
    """Encode fuse_statfs_out; blocks are counted in `block_size` bytes."""
    return _statfs_out.pack(blocks, free, available, 1, 0, block_size, 255, block_size, 0)


def fallocate(body: bytes | memoryview) -> tuple[int, int, int]:
    """Decode offset, length and mode (FALLOC_FL_*) from fuse_fallocate_in."""
    _, offset, length, mode, _ = _fallocate_in.unpack_from(body)
    return offset, length, mode


def clean_errno(error: OSError) -> int:
    """The errno to answer with: what the file system below said, where that helps the guest."""
    known = {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EINVAL,
        errno.EOPNOTSUPP,
        errno.EROFS,
        errno.ENOSYS,
    }
    return error.errno if error.errno in known else errno.EIO
