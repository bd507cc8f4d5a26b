# SPDX-License-Identifier: Apache-2.0
"""As much of the qcow2 format (QEMU's docs/interop/qcow2.txt) as it takes to know Nova's overlay.

Read by ourselves and not by qemu-img: the file is not trusted, and no name in it is opened.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass

from e2etrust_nova.errors import DiskRefusedError

MAGIC = b"QFI\xfb"
_header = struct.Struct(">4sIQIIQIIQQIIQ")
_features = struct.Struct(">Q")
_EXTERNAL_DATA_FILE = 1 << 2
# Reads `size` bytes at `offset`: of a file, or of what a container decrypts to.
Pread = Callable[[int, int], bytes]
_MAX_NAME = 1023
_MAX_L1 = 32 << 20  # bytes, QEMU's own limit


@dataclass(frozen=True, slots=True)
class Qcow2Header:
    """`backing` is the name as it stands in the file, or None; `virtual_size` is bytes."""

    version: int
    virtual_size: int
    backing: str | None
    snapshots: int
    encrypted: bool
    external_data: bool
    l1_offset: int
    l1_entries: int


def of_file(descriptor: int) -> Pread:
    """Return the reader of an open file."""
    return lambda size, offset: os.pread(descriptor, size, offset)


def read(pread: Pread) -> Qcow2Header | None:
    """Read the header; None if the bytes are not a qcow2.

    :raises DiskRefusedError: it begins as one and is not sound.
    """
    raw = pread(104, 0)
    if raw[:4] != MAGIC:
        return None
    if len(raw) < _header.size:
        raise _unsound("its header is cut short")
    _, version, at, length, _, size, crypt, l1_entries, l1_offset, _, _, snapshots, _ = (
        _header.unpack_from(raw)
    )
    if version not in (2, 3) or length > _MAX_NAME or l1_entries * 8 > _MAX_L1:
        raise _unsound("its header has values out of bounds")
    features = 0
    if version == 3 and len(raw) >= 80:
        (features,) = _features.unpack_from(raw, 72)
    return Qcow2Header(
        version,
        size,
        _name(pread, at, length),
        snapshots,
        crypt != 0,
        bool(features & _EXTERNAL_DATA_FILE),
        l1_offset,
        l1_entries,
    )


def is_empty(pread: Pread, header: Qcow2Header) -> bool:
    """Tell whether nothing was ever written: no L1 entry is set, no snapshot exists."""
    if header.snapshots or header.external_data:
        return False
    size = header.l1_entries * 8
    table = pread(size, header.l1_offset)
    return len(table) == size and table.count(0) == size


def _name(pread: Pread, at: int, length: int) -> str | None:
    if not at or not length:
        return None
    name = pread(length, at)
    if len(name) != length or b"\0" in name:
        raise _unsound("its backing file name is broken")
    return os.fsdecode(name)


def _unsound(why: str) -> DiskRefusedError:
    return DiskRefusedError(f"the disk is a damaged qcow2: {why}", code="DISK_DAMAGED")
