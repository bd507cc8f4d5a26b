# SPDX-License-Identifier: Apache-2.0
"""Walking DER (ITU-T X.690, 10): tags, definite lengths in their shortest form, nothing left over.

The order of a SET's elements is not looked at: that is the one rule that makers of TPMs break.
"""

from __future__ import annotations

from e2etrust_core.evidence.errors import EkCertificateUnreadable

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, OID = 0x01, 0x02, 0x03, 0x04, 0x06
UTC_TIME, GENERALIZED_TIME = 0x17, 0x18
SEQUENCE, SET = 0x30, 0x31
_HIGH_TAG = 0x1F


class DerReader:
    """Takes elements from the front of *data*."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def more(self) -> bool:
        return self._at < len(self._data)

    def tag(self) -> int:
        """The tag of the next element, -1 at the end."""
        return self._data[self._at] if self.more() else -1

    def take(self, tag: int) -> bytes:
        """Return the content of the next element, which must be of that *tag*."""
        return self.whole(tag)[1]

    def whole(self, tag: int) -> tuple[bytes, bytes]:
        """Return the next element as it stands, and its content.

        :raises EkCertificateUnreadable: another tag, or not DER.
        """
        start = self._at
        if self.tag() != tag or tag & _HIGH_TAG == _HIGH_TAG:
            raise EkCertificateUnreadable("a certificate has not the parts that it must have")
        size, at = self._length(start + 1)
        if at + size > len(self._data):
            raise EkCertificateUnreadable("a certificate is cut off")
        self._at = at + size
        return self._data[start : self._at], self._data[at : self._at]

    def inside(self, tag: int = SEQUENCE) -> DerReader:
        return DerReader(self.take(tag))

    def bits(self) -> bytes:
        """Return the whole octets of the next element, a BIT STRING.

        :raises EkCertificateUnreadable: it has none, or bits besides.
        """
        bits = self.take(BIT_STRING)
        if not bits or bits[0]:
            raise EkCertificateUnreadable("a certificate has a bit string of no whole octets")
        return bits[1:]

    def end(self) -> None:
        """:raises EkCertificateUnreadable: something is left over."""
        if self.more():
            raise EkCertificateUnreadable("a certificate has parts that it must not have")

    def _length(self, at: int) -> tuple[int, int]:
        first = self._data[at : at + 1]
        if first and first[0] < 0x80:
            return first[0], at + 1
        octets = first[0] & 0x7F if first else 0
        value = self._data[at + 1 : at + 1 + octets]
        size = int.from_bytes(value, "big")
        if not 1 <= octets <= 3 or len(value) != octets or not value[0] or size < 0x80:
            raise EkCertificateUnreadable("a certificate is not DER")
        return size, at + 1 + octets


def element(tag: int, content: bytes) -> bytes:
    """Return an element of at most 65535 bytes of content (X.690, 8.1)."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    octets = size.to_bytes(1 if size < 0x100 else 2, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def dotted(oid: bytes) -> str:
    """Return an OID's content in dotted form (X.690, 8.19)."""
    numbers, value = [], 0
    for octet in oid:
        value = value << 7 | octet & 0x7F
        if not octet & 0x80:
            numbers.append(value)
            value = 0
    if not numbers or oid[-1] & 0x80:
        raise EkCertificateUnreadable("a certificate has an object identifier that is none")
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))
