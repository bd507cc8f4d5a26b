# SPDX-License-Identifier: Apache-2.0
"""Which bytes of a disk a layout protects.

`full`: all. `main`: everything outside of partitions (tables, backups, boot code, gaps), boot
partitions, and the metadata of every file system that it knows; a partition that it does not know
is an error, never left open in silence. Of what `main` covers, blocks of 4096 zeros are left out:
they tell nothing, and so the file stays sparse.
"""

from __future__ import annotations

from pathlib import Path

from e2etrust_core.sealed import ext_metadata, fat_metadata
from e2etrust_core.sealed.disk_map import Volume, inspect, nonzero_blocks
from e2etrust_core.sealed.errors import FilesystemBrokenError, LayoutUnsupportedError
from e2etrust_core.sealed.extents import Extent, aligned, merged, outside

BLOCK = 4096
#: A crypt and a linear segment take about 200 bytes of JSON; 4 MiB hold this many with room.
MAX_EXTENTS = 16_000
#: The header of a swap area; what lies behind it means nothing at the next boot.
_SWAP_HEADER = 4096


def plan(disk: Path, disk_size: int, layout: str, scratch: Path) -> list[Extent]:
    """The extents of the raw disk that `layout` encrypts, sorted and apart.

    :param scratch: a path for a temporary file.
    :raises LayoutUnsupportedError: `main` does not know what is in a partition.
    :raises SealedImageError: the disk is no image, truncated or broken.
    """
    volumes = inspect(disk, disk_size)
    if layout == "full":
        for volume in volumes:
            _refuse_truncated(disk, volume, scratch)
        return [Extent(0, disk_size)]
    extents = list(outside([volume.extent for volume in volumes], disk_size))
    for volume in volumes:
        extents += _metadata(disk, volume, scratch)
    covered = aligned(extents, BLOCK, disk_size)
    return _few_enough(merged(nonzero_blocks(disk, covered, BLOCK)))


def _refuse_truncated(disk: Path, volume: Volume, scratch: Path) -> None:
    """A disk that ends inside of its file system is refused under every layout."""
    if volume.kind in ("ext", "fat"):
        try:
            _metadata(disk, volume, scratch)
        except FilesystemBrokenError:
            # What a broken file system means is the guest's affair when all is encrypted.
            pass


def _metadata(disk: Path, volume: Volume, scratch: Path) -> list[Extent]:
    match volume.kind:
        case "ext":
            return ext_metadata.find(disk, volume, scratch)
        case "fat":
            return fat_metadata.find(disk, volume)
        case "boot":
            return [volume.extent]
        case "swap":
            return [Extent(volume.extent.offset, min(_SWAP_HEADER, volume.extent.length))]
        case "empty":
            return []
    content = volume.content or "something unknown"
    raise LayoutUnsupportedError(f"layout main does not know what is in {volume.name} ({content})")


def _few_enough(extents: list[Extent]) -> list[Extent]:
    """Join neighbours over growing gaps until a LUKS2 header can hold the map."""
    gap = BLOCK
    while len(extents) > MAX_EXTENTS:
        extents = merged(extents, gap)
        gap *= 2
    return extents
