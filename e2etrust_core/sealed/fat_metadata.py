# SPDX-License-Identifier: Apache-2.0
"""Where FAT12, FAT16 and FAT32 keep their metadata (Microsoft FAT specification 1.03).

The reserved area, every copy of the FAT, the root directory, and each cluster of each directory.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from e2etrust_core.sealed.disk_map import Volume
from e2etrust_core.sealed.errors import FilesystemBrokenError, SourceTruncatedError
from e2etrust_core.sealed.extents import Extent, merged

_ENTRY = 32
_DIRECTORY, _LABEL = 0x10, 0x08


def find(disk: Path, volume: Volume) -> list[Extent]:
    """Metadata of the FAT file system in `volume`, as extents of the disk.

    :raises SourceTruncatedError: the file system is larger than its volume.
    :raises FilesystemBrokenError: its structures contradict themselves.
    """
    with disk.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        fat = _Fat(view, volume)
        clusters = fat.directory_clusters()
        start = volume.extent.offset
        slack = Extent(start + fat.size, volume.extent.length - fat.size)
        extents = [Extent(start, fat.data_offset), slack]
        extents += [Extent(start + fat.place(number), fat.cluster_size) for number in clusters]
    return merged(extents)


class _Fat:
    """One file system's numbers; offsets in bytes from the volume's start."""

    def __init__(self, view: mmap.mmap, volume: Volume) -> None:
        self._view = view
        self._volume = volume
        self._start = volume.extent.offset
        boot = self._read(0, 512)
        sector, per_cluster, reserved, copies, entries, small = struct.unpack_from(
            "<HBHBHH", boot, 11
        )
        fat_sectors = struct.unpack_from("<H", boot, 22)[0]
        fat_sectors = fat_sectors or struct.unpack_from("<I", boot, 36)[0]
        sectors = small or struct.unpack_from("<I", boot, 32)[0]
        powers = (1 << shift for shift in range(8))
        if sector not in (512, 1024, 2048, 4096) or per_cluster not in powers:
            self._broken("its sector or cluster size is not allowed")
        if not (reserved and copies and fat_sectors and sectors):
            self._broken("a size in its boot sector is zero")
        root_sectors = -(-entries * _ENTRY // sector)
        data_sector = reserved + copies * fat_sectors + root_sectors
        self.size = sectors * sector
        if self.size > volume.extent.length:
            raise SourceTruncatedError(
                f"the file system in {volume.name} is larger than {volume.name}"
            )
        if data_sector >= sectors:
            self._broken("its data area begins behind its end")
        self.cluster_size = per_cluster * sector
        self.data_offset = data_sector * sector
        self._clusters = (sectors - data_sector) // per_cluster
        self._bits = 12 if self._clusters < 4085 else 16 if self._clusters < 65525 else 32
        self._fat_offset = reserved * sector
        self._fat_size = fat_sectors * sector
        self._root_offset = (data_sector - root_sectors) * sector
        self._root_size = entries * _ENTRY
        self._root_cluster = struct.unpack_from("<I", boot, 44)[0] if self._bits == 32 else 0
        if (self._clusters + 2) * self._bits > self._fat_size * 8:
            self._broken("its FAT is too short for its clusters")

    def directory_clusters(self) -> set[int]:
        """Every cluster of every directory."""
        seen: set[int] = set()
        if self._bits == 32:
            todo = [self._root_cluster]
        else:
            todo = list(self._subdirectories(self._read(self._root_offset, self._root_size)))
        while todo:
            chain = list(self._chain(todo.pop(), seen))
            content = b"".join(self._read(self.place(n), self.cluster_size) for n in chain)
            todo.extend(self._subdirectories(content))
        return seen

    def place(self, cluster: int) -> int:
        """Where a cluster begins."""
        return self.data_offset + (cluster - 2) * self.cluster_size

    def _chain(self, cluster: int, seen: set[int]) -> Iterator[int]:
        end = {12: 0xFF8, 16: 0xFFF8, 32: 0x0FFFFFF8}[self._bits]
        while cluster < end:
            if not 2 <= cluster < self._clusters + 2 or cluster in seen:
                self._broken("a directory's cluster chain leaves the disk or meets another")
            seen.add(cluster)
            yield cluster
            cluster = self._next(cluster)

    def _next(self, cluster: int) -> int:
        if self._bits == 12:
            pair = self._read(self._fat_offset + cluster * 3 // 2, 2)
            value = struct.unpack("<H", pair)[0]
            return value >> 4 if cluster & 1 else value & 0xFFF
        width = self._bits // 8
        entry = self._read(self._fat_offset + cluster * width, width)
        return int.from_bytes(entry, "little") & 0x0FFFFFFF

    def _subdirectories(self, content: bytes) -> Iterator[int]:
        for at in range(0, len(content) - _ENTRY + 1, _ENTRY):
            entry = content[at : at + _ENTRY]
            if entry[0] == 0:
                return
            # Long names (attribute 0x0F) carry the label's bit.
            if entry[0] in (0xE5, 0x2E) or entry[11] & _LABEL or not entry[11] & _DIRECTORY:
                continue
            high = struct.unpack_from("<H", entry, 20)[0] if self._bits == 32 else 0
            yield high << 16 | struct.unpack_from("<H", entry, 26)[0]

    def _read(self, offset: int, size: int) -> bytes:
        if offset + size > self._volume.extent.length:
            self._broken("a structure lies behind its end")
        at = self._start + offset
        return self._view[at : at + size]

    def _broken(self, why: str) -> NoReturn:
        raise FilesystemBrokenError(f"{self._volume.name}: its FAT file system is broken: {why}")
