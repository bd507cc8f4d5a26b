# SPDX-License-Identifier: Apache-2.0
"""Open a sealed file: find its footer, check every part against the others, keep plain facts.

Nothing here needs the key. What this says of an image is what the image says of itself;
`reader.SealedReader` checks with the key that nobody else wrote it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from e2etrust_core.sealed import footer as footers
from e2etrust_core.sealed import luks2, merkle, token
from e2etrust_core.sealed.errors import (
    CipherUnsupportedError,
    FooterBrokenError,
    HashAreaBrokenError,
    ImageReadError,
    NotSealedError,
    SegmentsOverlapError,
    TokenForeignError,
)
from e2etrust_core.sealed.extents import Extent
from e2etrust_core.sealed.luks2_json import Metadata, Segment

CIPHER = "sm4-xts-plain64"
# Where a file was extended, its last data block may be larger than the footer.
_SEARCH_BACK = 1 << 20


@dataclass(frozen=True)
class SealedImage:
    """A sealed file that is consistent in itself. Offsets and sizes are in bytes.

    header_digest: SHA-256 over the header area (both copies) and the footer.
    root: of the integrity tree over all protected extents, 32 bytes.
    key_id: UUID of the image key in the key manager.
    segments: the disk from its first to its last byte, `crypt` or `linear`.
    """

    path: Path
    header_digest: bytes
    root: bytes
    key_id: str
    layout: str
    disk_size: int
    segments: tuple[Segment, ...]
    footer: footers.Footer
    header: luks2.Header
    token: token.Token

    @classmethod
    def open(cls, path: Path | str) -> SealedImage:
        """Find, read and check a sealed file (raw, not inside qcow2); it is only read.

        :raises NotSealedError: it bears no footer.
        :raises SealedImageError: it does, and something is wrong; each check has its own code.
        """
        path = Path(path)
        fd = open_file(path)
        try:
            return cls.from_fd(fd, path)
        finally:
            os.close(fd)

    @classmethod
    def from_fd(cls, fd: int, path: Path) -> SealedImage:
        """As `open`, from a file that is open already; `path` is only remembered."""
        footer = find_footer(fd)
        header_area = read_exactly(fd, footer.header_size, footer.header_offset)
        header = luks2.read(header_area)
        if 2 * header.size != footer.header_size:
            raise FooterBrokenError("the footer and the LUKS2 header name different sizes")
        facts = token.find(header.metadata)
        _check_agreement(facts, footer)
        segments = _check_segments(header.metadata, footer.disk_size)
        image = cls(
            path=path,
            header_digest=hashlib.sha256(header_area + footer.encode()).digest(),
            root=bytes.fromhex(facts.root),
            key_id=facts.key_id,
            layout=facts.layout,
            disk_size=footer.disk_size,
            segments=segments,
            footer=footer,
            header=header,
            token=facts,
        )
        image.read_pages(fd)
        return image

    @property
    def protected(self) -> tuple[Extent, ...]:
        """The encrypted extents, in order."""
        return tuple(Extent(s.offset, s.size or 0) for s in self.segments if s.kind == "crypt")

    def leaf_map(self) -> merkle.LeafMap:
        """Which hash covers which bytes."""
        return merkle.LeafMap(self.protected, self.token.leaf_size)

    def read_pages(self, fd: int) -> bytes:
        """The top of the hash list, checked against the root.

        :raises HashAreaBrokenError: it is not what the root was made of.
        """
        leaf_map = self.leaf_map()
        if self.footer.hash_size != footers.round_up(leaf_map.hash_bytes):
            raise HashAreaBrokenError("the hash area has another size than the segments need")
        pages = read_exactly(fd, leaf_map.pages * merkle.HASH, self.footer.hash_offset)
        merkle.check_pages(pages, leaf_map, self.token.leaf_size, self.disk_size, self.root)
        return pages


def open_file(path: Path) -> int:
    """Open for reading, following no symbolic link at the end of the path.

    :raises ImageReadError: it cannot be opened, or is neither a file nor a block device.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise ImageReadError(f"{path}: {os.strerror(error.errno or errno.EIO)}") from None
    mode = os.fstat(fd).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
        os.close(fd)
        raise ImageReadError(f"{path} is not a regular file")
    return fd


def read_exactly(fd: int, size: int, offset: int) -> bytes:
    """
    :raises ImageReadError: the file ends before, or cannot be read.
    """
    pieces = []
    while size:
        try:
            piece = os.pread(fd, size, offset)
        except OSError as error:
            raise ImageReadError(f"reading the image failed: {error.strerror}") from None
        if not piece:
            raise ImageReadError("the image file ends too early")
        pieces.append(piece)
        size -= len(piece)
        offset += len(piece)
    return b"".join(pieces)


def find_footer(fd: int) -> footers.Footer:
    """The footer at the end of the file, or at the end of its data where a hole follows.

    :raises NotSealedError: there is none.
    :raises FooterBrokenError: there is one, and it is not valid.
    """
    size = os.lseek(fd, 0, os.SEEK_END)
    # A raw disk that Nova grew has a hole behind our footer. The file's end comes first.
    for end in (size, _end_of_data(fd, size)):
        last = end // footers.ALIGNMENT * footers.ALIGNMENT - footers.SIZE
        lowest = last if end == size else max(0, last - _SEARCH_BACK)
        for position in range(last, lowest - 1, -footers.ALIGNMENT):
            if position < 0:
                break
            data = read_exactly(fd, footers.SIZE, position)
            footer = footers.decode(data, position)
            if footer is not None:
                return footer
            if any(data) and end != size:
                break
    raise NotSealedError("the file bears no E2ETrust footer")


def _end_of_data(fd: int, size: int) -> int:
    """Where the last hole begins, as far as the file system tells."""
    end = 0
    while end < size:
        try:
            data = os.lseek(fd, end, os.SEEK_DATA)
        except OSError:
            break
        end = os.lseek(fd, data, os.SEEK_HOLE)
    return min(footers.round_up(end), size)


def _check_agreement(facts: token.Token, footer: footers.Footer) -> None:
    if (facts.disk_size, facts.hash_offset, facts.hash_size) != (
        footer.disk_size,
        footer.hash_offset,
        footer.hash_size,
    ):
        raise TokenForeignError("the token and the footer name different sizes")


def _check_segments(metadata: Metadata, disk_size: int) -> tuple[Segment, ...]:
    """The segments cover the disk exactly, in order, with our cipher and its own offsets."""
    if metadata.requirements or metadata.keyslots:
        raise CipherUnsupportedError("the header demands or holds what a sealed image has not")
    at = 0
    for segment in metadata.segments:
        if segment.offset != at or segment.size is None or segment.flags:
            raise SegmentsOverlapError(f"segment {segment.number} does not follow the one before")
        if segment.kind not in ("crypt", "linear"):
            raise CipherUnsupportedError(f"segment {segment.number} is of an unknown type")
        if segment.kind == "crypt" and (
            segment.encryption != CIPHER
            or segment.sector_size != 512
            or segment.iv_tweak != segment.offset // 512
        ):
            raise CipherUnsupportedError(
                f"segment {segment.number} is not {CIPHER} in its own place"
            )
        at += segment.size
    if at != disk_size:
        raise SegmentsOverlapError("the segments end elsewhere than the disk")
    crypt = tuple(s.number for s in metadata.segments if s.kind == "crypt")
    if len(metadata.digests) != 1 or metadata.digests[0].segments != crypt:
        raise CipherUnsupportedError("the header has not one key digest over all crypt segments")
    return metadata.segments
