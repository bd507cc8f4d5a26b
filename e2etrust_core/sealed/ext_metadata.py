# SPDX-License-Identifier: Apache-2.0
"""Where ext2, ext3 and ext4 keep their metadata: told by e2fsprogs, not by us.

`e2image -r` copies every block of metadata that is not zero (superblock, descriptors, bitmaps,
inode tables, directories, extent trees, attributes, symbolic links, journal) to its own place in
a sparse file. It leaves out backup superblocks and descriptors; `dumpe2fs` names those.
"""

from __future__ import annotations

import re
from pathlib import Path

from e2etrust_core.sealed import system_tool
from e2etrust_core.sealed.disk_map import Volume, nonzero_blocks
from e2etrust_core.sealed.errors import FilesystemBrokenError, SourceTruncatedError, ToolError
from e2etrust_core.sealed.extents import Extent, merged

_GROUP_PART = re.compile(
    r"(?:superblock|Group descriptors|Reserved GDT blocks|bitmap|Inode table)"
    r" at (\d+)(?:-(\d+))?"
)
_BLOCK = 4096


def find(disk: Path, volume: Volume, scratch: Path) -> list[Extent]:
    """Metadata of the file system in `volume`, as extents of the disk.

    :param scratch: a file that does not exist yet, on a file system with sparse files.
    :raises SourceTruncatedError: the file system is larger than its volume.
    :raises FilesystemBrokenError: e2fsprogs cannot read it.
    """
    start = volume.extent.offset
    try:
        fixed, size = _fixed(disk, start)
        if size > volume.extent.length:
            raise SourceTruncatedError(
                f"the file system in {volume.name} is larger than {volume.name}"
            )
        command = ["e2image", "-r", "-o", str(start), disk.name, str(scratch)]
        system_tool.run(command, cwd=disk.parent)
        copied = nonzero_blocks(scratch, [Extent(0, scratch.stat().st_size)], _BLOCK)
        found = [Extent(extent.offset + start, extent.length) for extent in copied]
    except ToolError as error:
        raise FilesystemBrokenError(
            f"{volume.name}: its ext file system cannot be read: {error.reason}"
        ) from None
    finally:
        scratch.unlink(missing_ok=True)
    # What lies between the file system's end and its volume's is nobody's: protect it.
    slack = Extent(start + size, volume.extent.length - size)
    return merged([*fixed, *found, slack])


def _fixed(disk: Path, start: int) -> tuple[list[Extent], int]:
    """What stands in every group at fixed places, backups included; and the size in bytes."""
    text = system_tool.run(["dumpe2fs", f"{disk.name}?offset={start}"], cwd=disk.parent).stdout
    block, count = _field(text, "Block size"), _field(text, "Block count")
    # The boot sector stands before the first block where blocks are of 1 KiB.
    extents = [Extent(start, max(1024, block))]
    for match in _GROUP_PART.finditer(text):
        first = int(match[1])
        last = int(match[2] or first)
        extents.append(Extent(start + first * block, (last - first + 1) * block))
    return extents, block * count


def _field(text: str, name: str) -> int:
    match = re.search(rf"^{name}:\s+(\d+)$", text, re.MULTILINE)
    if not match:
        raise ToolError(f"dumpe2fs does not tell the {name.lower()}")
    return int(match[1])
