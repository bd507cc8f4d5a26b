# SPDX-License-Identifier: Apache-2.0
"""Bounded little-endian reading of one event's data."""

from __future__ import annotations

from uuid import UUID

from e2etrust_core.evidence.errors import EventLogError


class EventReader:
    """Reads from *data*; every size is checked before anything is taken or allocated."""

    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._what = what
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        """Raises EventLogError where fewer than *size* bytes are left."""
        if size > self.left:
            raise EventLogError(f"{self._what}: {size} bytes are due, {self.left} are left")
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken

    def rest(self) -> bytes:
        return self.take(self.left)

    def uint(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def guid(self) -> UUID:
        """EFI_GUID (UEFI 2.10, appendix A)."""
        return UUID(bytes_le=self.take(16))

    def text16(self, characters: int) -> str:
        """CHAR16 text of a stated number of *characters*, no closing zero."""
        return _utf16(self.take(2 * characters), self._what)

    def text16_closed(self) -> str:
        """CHAR16 text up to and without its closing zero."""
        for end in range(self._at, len(self._data) - 1, 2):
            if self._data[end : end + 2] == b"\0\0":
                text = _utf16(self._data[self._at : end], self._what)
                self._at = end + 2
                return text
        raise EventLogError(f"{self._what}: text without its closing zero")


def _utf16(raw: bytes, what: str) -> str:
    try:
        return raw.decode("utf-16-le")
    except UnicodeDecodeError:
        raise EventLogError(f"{what}: a name that is no UTF-16") from None
