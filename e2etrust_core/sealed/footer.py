# SPDX-License-Identifier: Apache-2.0
"""The last 4096 bytes of a sealed file: where the LUKS2 header and the hashes stand.

    0     8   magic "E2ETSEAL"
    8     4   version, 1                         (all numbers little endian)
    12    4   zero
    16    8   disk size                          bytes of the disk at the file's start
    24  2*8   header offset and size             both copies of the LUKS2 header
    40  2*8   hash area offset and size
    56    8   footer offset
    64 4000   zero
    4064 32   SHA-256 over the 4064 bytes before

The parts follow each other without gaps, each beginning at a multiple of 4096 bytes.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

from e2etrust_core.sealed.errors import FooterBrokenError

SIZE = 4096
ALIGNMENT = 4096
MAGIC = b"E2ETSEAL"
VERSION = 1
_FIELDS = struct.Struct("<8sIIQQQQQQ")
_CHECKSUM = 32
#: A header is at most two copies of 4 MiB; hashes of 16 TiB in 64 KiB leaves take 8 GiB.
_MAX_HEADER = 2 * 4 * 1024 * 1024
_MAX_DISK = 1 << 50


@dataclass(frozen=True)
class Footer:
    """Offsets and sizes in bytes."""

    disk_size: int
    header_offset: int
    header_size: int
    hash_offset: int
    hash_size: int

    @property
    def offset(self) -> int:
        """Where the footer itself stands."""
        return self.hash_offset + self.hash_size

    def encode(self) -> bytes:
        """The 4096 bytes."""
        fields = _FIELDS.pack(
            MAGIC,
            VERSION,
            0,
            self.disk_size,
            self.header_offset,
            self.header_size,
            self.hash_offset,
            self.hash_size,
            self.offset,
        )
        body = fields.ljust(SIZE - _CHECKSUM, b"\0")
        return body + hashlib.sha256(body).digest()


def place(disk_size: int, header_size: int, hash_size: int) -> Footer:
    """Where everything goes behind a disk of `disk_size` bytes; sizes are rounded up to 4096."""
    header_offset = round_up(disk_size)
    hash_offset = header_offset + round_up(header_size)
    return Footer(disk_size, header_offset, round_up(header_size), hash_offset, round_up(hash_size))


def round_up(size: int) -> int:
    """The next multiple of 4096."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def decode(data: bytes, position: int) -> Footer | None:
    """Read the footer that stands at byte `position` of its file.

    :returns: None where there is no footer (another magic).
    :raises FooterBrokenError: there is one, and it is not valid or belongs elsewhere.
    """
    if len(data) != SIZE or not data.startswith(MAGIC):
        return None
    body, checksum = data[:-_CHECKSUM], data[-_CHECKSUM:]
    if hashlib.sha256(body).digest() != checksum:
        raise FooterBrokenError("the footer's checksum does not hold")
    magic, version, zero, disk, header, header_size, hashes, hash_size, own = _FIELDS.unpack_from(
        body
    )
    if version != VERSION:
        raise FooterBrokenError(
            f"footer version {version} is not known here",
            remedy="Use a release of E2ETrust that knows it.",
        )
    if zero or any(body[_FIELDS.size :]):
        raise FooterBrokenError("reserved bytes of the footer are not zero")
    footer = place(disk, header_size, hash_size)
    if footer != Footer(disk, header, header_size, hashes, hash_size) or footer.offset != own:
        raise FooterBrokenError("the parts that the footer names do not follow each other")
    if own != position:
        raise FooterBrokenError(
            "the footer stands elsewhere than it says: the file was cut or moved"
        )
    if not 0 < disk <= _MAX_DISK or disk % 512 or not 0 < header_size <= _MAX_HEADER:
        raise FooterBrokenError("the footer's sizes are out of bounds")
    return footer
