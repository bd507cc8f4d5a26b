# SPDX-License-Identifier: Apache-2.0
"""Reading and writing the TPM's byte order: big-endian integers and sized buffers.

TPM 2.0 Library Part 1, 7 and Part 2, 10.4.  The reader checks every bound and is told its end,
so that a structure with bytes missing or left over is refused.
"""

from __future__ import annotations

from e2etrust_core.evidence.errors import StructureError


class ByteReader:
    """Takes integers and buffers from the front of *data*; *what* names it in errors."""

    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._at = 0
        self.what = what

    def take(self, size: int) -> bytes:
        """Return the next *size* bytes.

        :raises StructureError: fewer are left.
        """
        left = len(self._data) - self._at
        if size > left:
            raise StructureError(f"{self.what}: {size} bytes are due where {left} are left")
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken

    def uint(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def sized(self, limit: int) -> bytes:
        """Return the content of a TPM2B of at most *limit* bytes."""
        size = self.uint(2)
        if size > limit:
            raise StructureError(f"{self.what}: a buffer of {size} bytes, at most {limit} fit")
        return self.take(size)

    def end(self) -> None:
        """:raises StructureError: bytes are left over."""
        left = len(self._data) - self._at
        if left:
            raise StructureError(f"{self.what}: {left} bytes are left over")


def uint(value: int, size: int) -> bytes:
    return value.to_bytes(size, "big")


def sized(data: bytes) -> bytes:
    """Return *data* as a TPM2B: its size in two bytes in front."""
    return len(data).to_bytes(2, "big") + data


def unsized(data: bytes, what: str) -> bytes:
    """Return the content of the TPM2B that *data* is wholly made of.

    :raises StructureError: the size is not that of what follows.
    """
    reader = ByteReader(data, what)
    content = reader.sized(0xFFFF)
    reader.end()
    return content
