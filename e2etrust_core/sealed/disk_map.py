# SPDX-License-Identifier: Apache-2.0
"""What stands where on a raw disk: partitions by sfdisk, contents by blkid."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from e2etrust_core.sealed import system_tool
from e2etrust_core.sealed.errors import SourceTruncatedError, SourceUnsupportedError
from e2etrust_core.sealed.extents import Extent

#: Partition types that hold boot code and nothing else.
_BOOT_TYPES = {
    "21686148-6449-6E6F-744E-656564454649": "BIOS boot",
    "9E1A2D38-C612-4316-AA26-8B49521E5A8B": "PowerPC PReP boot",
    "41": "PowerPC PReP boot",
}
#: DOS partitions that only contain other partitions.
_EXTENDED = {"5", "f", "85"}
_KINDS = {
    "ext2": "ext",
    "ext3": "ext",
    "ext4": "ext",
    "vfat": "fat",
    "swap": "swap",
    "swsuspend": "swap",
}
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Volume:
    """A partition, or a whole disk without a partition table.

    kind: "ext", "fat", "swap", "boot", "empty" (all zero) or "unknown".
    """

    name: str
    extent: Extent
    kind: str
    content: str = ""


def inspect(path: Path, disk_size: int) -> tuple[Volume, ...]:
    """List the volumes of the raw disk at `path`.

    :param disk_size: in bytes.
    :raises SourceUnsupportedError: neither a partition table nor a file system is found.
    :raises SourceTruncatedError: a partition ends behind the disk.
    """
    found = _probe(path, Extent(0, disk_size))
    if found.get("PTTYPE") in ("dos", "gpt") and "TYPE" not in found:
        volumes = _partitions(path, disk_size)
    elif "TYPE" in found:
        volumes = (_volume(path, "the disk", Extent(0, disk_size), found),)
    elif found.get("PTTYPE") == "PMBR":
        raise SourceTruncatedError("this disk says it has a GPT, and the GPT is not whole")
    else:
        raise SourceUnsupportedError(
            "neither a partition table nor a file system is on this disk: is it a disk image?"
        )
    return volumes


def _partitions(path: Path, disk_size: int) -> tuple[Volume, ...]:
    done = system_tool.run(["sfdisk", "--json", path.name], cwd=path.parent)
    table = json.loads(done.stdout)["partitiontable"]
    unit = table.get("sectorsize", 512)
    volumes = []
    for number, partition in enumerate(table.get("partitions", []), 1):
        kind = str(partition["type"])
        if table["label"] == "dos" and kind in _EXTENDED:
            continue
        name = "partition " + partition["node"].removeprefix(path.name).lstrip("p")
        extent = Extent(partition["start"] * unit, partition["size"] * unit)
        if extent.end > disk_size:
            raise SourceTruncatedError(f"{name} (number {number}) ends behind the end of the disk")
        if kind.upper() in _BOOT_TYPES:
            volumes.append(Volume(name, extent, "boot", _BOOT_TYPES[kind.upper()]))
        else:
            volumes.append(_volume(path, name, extent, _probe(path, extent)))
    ordered = sorted(volumes, key=lambda volume: volume.extent)
    for before, after in zip(ordered, ordered[1:], strict=False):
        if before.extent.end > after.extent.offset:
            raise SourceUnsupportedError(f"{before.name} and {after.name} overlap")
    return tuple(ordered)


def _volume(path: Path, name: str, extent: Extent, found: dict[str, str]) -> Volume:
    content = found.get("TYPE") or found.get("PTTYPE") or ""
    kind = _KINDS.get(content, "unknown")
    if not content and not found and is_zero(path, extent):
        kind = "empty"
    return Volume(name, extent, kind, content)


def _probe(path: Path, extent: Extent) -> dict[str, str]:
    """blkid's low-level findings; more than one finding is no finding."""
    where = ["--offset", str(extent.offset), "--size", str(extent.length)]
    command = ["blkid", "--probe", "--output", "export", *where, path.name]
    done = system_tool.run(command, cwd=path.parent, accept=(0, 2, 8))
    if done.returncode == 8:
        return {"AMBIVALENT": "yes"}
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def is_zero(path: Path, extent: Extent) -> bool:
    """Whether nothing but zeros stands there; holes are skipped unread."""
    return next(nonzero_blocks(path, [extent], _CHUNK), None) is None


def nonzero_blocks(path: Path, extents: Sequence[Extent], block: int) -> Iterator[Extent]:
    """Of `extents`, the blocks of `block` bytes that hold anything but zeros, in order."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for extent in extents:
            yield from _nonzero_of(fd, extent, block)
    finally:
        os.close(fd)


def _nonzero_of(fd: int, extent: Extent, block: int) -> Iterator[Extent]:
    at = extent.offset
    while at < extent.end:
        try:
            data = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:  # ENXIO: only a hole is left
            return
        # Stay on the extent's own grid of blocks.
        at += max(0, data - at) // block * block
        if at >= extent.end:
            return
        piece = os.pread(fd, min(max(block, _CHUNK), extent.end - at), at)
        for inner in range(0, len(piece), block):
            part = piece[inner : inner + block]
            if part.count(0) != len(part):
                yield Extent(at + inner, len(part))
        at += len(piece)
        if not piece:
            return
