# SPDX-License-Identifier: Apache-2.0
"""The codecs against structures laid out by the C compiler's rules (ctypes), field by field."""

import ctypes
import errno
import stat

import pytest

from e2etrust_nova.disk import fuse_protocol as fuse
from e2etrust_nova.errors import DiskServerError

U16, U32, U64, I32 = ctypes.c_uint16, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_int32


def structure(name, **fields):
    return type(name, (ctypes.Structure,), {"_fields_": list(fields.items())})


InHeader = structure(
    "fuse_in_header",
    len=U32, opcode=U32, unique=U64, nodeid=U64, uid=U32, gid=U32, pid=U32,
    total_extlen=U16, padding=U16,
)  # fmt: skip
OutHeader = structure("fuse_out_header", len=U32, error=I32, unique=U64)
InitIn = structure(
    "fuse_init_in",
    major=U32, minor=U32, max_readahead=U32, flags=U32, flags2=U32, unused=U32 * 11,
)  # fmt: skip
InitOut = structure(
    "fuse_init_out",
    major=U32, minor=U32, max_readahead=U32, flags=U32, max_background=U16,
    congestion_threshold=U16, max_write=U32, time_gran=U32, max_pages=U16, map_alignment=U16,
    flags2=U32, unused=U32 * 7,
)  # fmt: skip
AttrOut = structure(
    "fuse_attr_out",
    attr_valid=U64, attr_valid_nsec=U32, dummy=U32, ino=U64, size=U64, blocks=U64, atime=U64,
    mtime=U64, ctime=U64, atimensec=U32, mtimensec=U32, ctimensec=U32, mode=U32, nlink=U32,
    uid=U32, gid=U32, rdev=U32, blksize=U32, flags=U32,
)  # fmt: skip
SetattrIn = structure(
    "fuse_setattr_in",
    valid=U32, padding=U32, fh=U64, size=U64, lock_owner=U64, atime=U64, mtime=U64, ctime=U64,
    atimensec=U32, mtimensec=U32, ctimensec=U32, mode=U32, unused4=U32, uid=U32, gid=U32,
    unused5=U32,
)  # fmt: skip
OpenOut = structure("fuse_open_out", fh=U64, open_flags=U32, padding=U32)
WriteIn = structure(
    "fuse_write_in",
    fh=U64, offset=U64, size=U32, write_flags=U32, lock_owner=U64, flags=U32, padding=U32,
)  # fmt: skip
WriteOut = structure("fuse_write_out", size=U32, padding=U32)
StatfsOut = structure(
    "fuse_statfs_out",
    blocks=U64, bfree=U64, bavail=U64, files=U64, ffree=U64, bsize=U32, namelen=U32, frsize=U32,
    padding=U32, spare=U32 * 6,
)  # fmt: skip
FallocateIn = structure(
    "fuse_fallocate_in", fh=U64, offset=U64, length=U64, mode=U32, padding=U32
)  # fmt: skip


def init(minor=42, flags=0xFFFFFFFF, flags2=0xFFFFFFFF, major=7):
    return bytes(InitIn(major=major, minor=minor, max_readahead=131072, flags=flags, flags2=flags2))


def test_sizes_of_headers_are_the_kernels():
    assert ctypes.sizeof(InHeader) == fuse.IN_HEADER
    assert ctypes.sizeof(OutHeader) == fuse.OUT_HEADER
    assert ctypes.sizeof(InHeader) + ctypes.sizeof(WriteIn) == fuse.WRITE_HEAD


def test_request_header_is_read():
    raw = bytes(InHeader(len=80, opcode=15, unique=(1 << 63) | 8, nodeid=1, uid=3, gid=4, pid=5))
    assert fuse.request(raw) == fuse.Request(80, 15, (1 << 63) | 8, 1)


def test_reply_echoes_the_mark_of_a_request_handed_out_again():
    head = OutHeader.from_buffer_copy(fuse.reply_head((1 << 63) | 8, 512))
    assert (head.len, head.error, head.unique) == (528, 0, (1 << 63) | 8)


def test_error_is_sent_negative():
    head = OutHeader.from_buffer_copy(fuse.reply_head(8, 0, errno.EIO))
    assert (head.len, head.error) == (16, -errno.EIO)


def test_resend_notice_has_no_unique():
    head = OutHeader.from_buffer_copy(fuse.resend_notice())
    assert (head.len, head.error, head.unique) == (16, 7, 0)


def test_init_takes_large_writes_and_keeps_locks_in_the_kernel():
    answer, settled = fuse.negotiate(init())
    out = InitOut.from_buffer_copy(answer)
    assert len(answer) == ctypes.sizeof(InitOut)
    assert (out.major, out.minor, out.max_write, out.max_pages) == (7, 31, 1 << 20, 256)
    posix_locks, atomic_trunc, flock, writeback = 1 << 1, 1 << 3, 1 << 10, 1 << 16
    assert not out.flags & (posix_locks | atomic_trunc | flock | writeback)
    assert settled.can_resend


@pytest.mark.parametrize(
    ("flags", "flags2"), [(0xFFFFFFFF, 0xFFFFFFFF & ~(1 << 7)), (0xFFFFFFFF & ~(1 << 30), 1 << 7)]
)
def test_kernel_without_resend_is_seen(flags, flags2):
    assert not fuse.negotiate(init(flags=flags, flags2=flags2))[1].can_resend


@pytest.mark.parametrize(("major", "minor"), [(6, 40), (7, 30), (8, 0)])
def test_kernel_with_another_protocol_is_refused(major, minor):
    with pytest.raises(DiskServerError) as refused:
        fuse.negotiate(init(minor=minor, major=major))
    assert refused.value.code == "KERNEL_TOO_OLD"


def test_attributes_show_a_regular_file():
    shown = fuse.Attributes(size=1 << 40, mode=0o640, uid=64055, gid=107, blocks=9, mtime=77)
    out = AttrOut.from_buffer_copy(fuse.attributes(shown))
    assert (out.size, out.blocks, out.mtime, out.nlink) == (1 << 40, 9, 77, 1)
    assert (out.mode, out.uid, out.gid) == (stat.S_IFREG | 0o640, 64055, 107)


def test_attribute_change_leaves_out_what_is_not_valid():
    raw = SetattrIn(valid=0b0110, size=5, mode=0o777, uid=64055, gid=107)
    assert fuse.attribute_change(bytes(raw)) == fuse.AttributeChange(None, 64055, 107, None)
    raw.valid = 0b1001
    assert fuse.attribute_change(bytes(raw)) == fuse.AttributeChange(0o777, None, None, 5)


def test_open_keeps_plaintext_out_of_the_page_cache():
    out = OpenOut.from_buffer_copy(fuse.opened())
    assert out.open_flags & fuse.FOPEN_DIRECT_IO
    assert not out.open_flags & (1 << 1)  # FOPEN_KEEP_CACHE


def test_span_written_statfs_and_fallocate():
    assert fuse.span(bytes(WriteIn(fh=9, offset=1 << 41, size=4096))) == (1 << 41, 4096)
    assert WriteOut.from_buffer_copy(fuse.written(4096)).size == 4096
    out = StatfsOut.from_buffer_copy(fuse.statfs(100, 50, 40, 4096))
    assert (out.blocks, out.bfree, out.bavail, out.bsize, out.frsize) == (100, 50, 40, 4096, 4096)
    raw = bytes(FallocateIn(fh=1, offset=4096, length=8192, mode=3))
    assert fuse.fallocate(raw) == (4096, 8192, 3)


def test_unexpected_error_of_the_file_below_becomes_eio():
    assert fuse.clean_errno(OSError(errno.ENOSPC, "")) == errno.ENOSPC
    assert fuse.clean_errno(OSError(errno.EBADF, "")) == errno.EIO
