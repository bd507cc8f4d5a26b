# SPDX-License-Identifier: Apache-2.0
"""Bounded little-endian reading: firmware's and kernel's logs, and what stands in their events."""

from __future__ import annotations

from uuid import UUID

from e2etrust_core.errors import EvidenceError


class LittleEndianReader:
    """Reads from *data*; every size is checked before anything is taken or allocated.

    :param what: names the data in errors.
    :param fault: the error where less is left than is due, or a name is no text.
    """

    def __init__(self, data: bytes, what: str, fault: type[EvidenceError]) -> None:
        self._data = data
        self._what = what
        self._fault = fault
        self.at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self.at

    def take(self, size: int) -> bytes:
        if size > self.left:
            raise self._fault(
                f"{self._what} cut off at byte {self.at}:"
                f" {size} bytes are due, {self.left} are left"
            )
        taken = self._data[self.at : self.at + size]
        self.at += size
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
        return self._utf16(self.take(2 * characters))

    def text16_closed(self) -> str:
        """CHAR16 text up to and without its closing zero."""
        for end in range(self.at, len(self._data) - 1, 2):
            if self._data[end : end + 2] == b"\0\0":
                text = self._utf16(self._data[self.at : end])
                self.at = end + 2
                return text
        raise self._fault(f"{self._what}: text without its closing zero")

    def _utf16(self, raw: bytes) -> str:
        try:
            return raw.decode("utf-16-le")
        except UnicodeDecodeError:
            raise self._fault(f"{self._what}: a name that is no UTF-16") from None
