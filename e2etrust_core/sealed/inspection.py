# SPDX-License-Identifier: Apache-2.0
"""Look at a sealed file as it lies in a tenant's hands: raw, or inside of qcow2."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from e2etrust_core.sealed import footer as footers
from e2etrust_core.sealed import source, system_tool
from e2etrust_core.sealed.errors import NotSealedError, SourceUnsupportedError
from e2etrust_core.sealed.image import SealedImage, read_exactly


@dataclass(frozen=True)
class SealedFile:
    """A sealed image, and the file it lies in. `virtual_size` (bytes) counts the header behind the
    disk as well; `header` is the LUKS2 header area."""

    image: SealedImage
    format: str
    virtual_size: int
    header: bytes


def inspect(path: Path) -> SealedFile:
    """Open a sealed file of either format.

    :raises NotSealedError: it is not sealed.
    :raises SealedImageError: it cannot be read, or something in it is wrong.
    """
    path = path.resolve()  # else qemu-img takes what stands before a colon for a protocol
    info = source.qemu_info(path)
    if info["format"] not in ("raw", "qcow2"):
        raise SourceUnsupportedError(f"{path.name} is a {info['format']} image")
    with _raw_view(path, info["format"], info["virtual-size"]) as raw:
        image = SealedImage.open(raw)
        fd = os.open(raw, os.O_RDONLY | os.O_CLOEXEC)
        try:
            header = read_exactly(fd, image.footer.header_size, image.footer.header_offset)
        finally:
            os.close(fd)
    size = image.footer.offset + footers.SIZE
    return SealedFile(image, info["format"], max(size, info["virtual-size"]), header)


@contextlib.contextmanager
def _raw_view(path: Path, image_format: str, size: int) -> Iterator[Path]:
    """The file itself if it is raw; else a sparse file with what stands behind the disk."""
    if image_format == "raw":
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="e2etrust-") as directory:
        raw = Path(directory) / "raw"
        with raw.open("wb") as file:
            file.truncate(size)
        position = size - footers.SIZE
        footer = None
        if position >= 0 and not position % footers.ALIGNMENT:
            _copy(path, raw, position, size)
            with raw.open("rb") as file:
                footer = footers.decode(
                    read_exactly(file.fileno(), footers.SIZE, position), position
                )
        if footer is None:
            raise NotSealedError("the file bears no E2ETrust footer")
        _copy(path, raw, footer.header_offset, size)
        yield raw


def _copy(path: Path, raw: Path, start: int, end: int) -> None:
    """Bytes `start` (a multiple of 4096) to `end` of a qcow2, to their place in `raw`."""
    piece = raw.with_name("piece")
    block = footers.ALIGNMENT
    # qemu-img dd counts in blocks from the start of its input.
    command = ["qemu-img", "dd", "-f", "qcow2", "-O", "raw", f"bs={block}"]
    command += [f"skip={start // block}", f"if={path}", f"of={piece}"]
    system_tool.run(command)
    with piece.open("rb") as read, raw.open("r+b") as write:
        write.seek(start)
        while data := read.read(1 << 20):
            write.write(data)
    piece.unlink()
    if raw.stat().st_size != end:
        raise NotSealedError("the file bears no E2ETrust footer")
