# SPDX-License-Identifier: Apache-2.0
"""A LUKS2 header, both copies of it (LUKS2 On-Disk Format 1.1, section 2).

Each copy is a binary header of 4096 bytes, big endian, and a JSON area; the second copy begins
where the first ends. The copy with the higher sequence number among the valid ones counts.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass

from e2etrust_core.sealed import luks2_json
from e2etrust_core.sealed.errors import HeaderBrokenError

BINARY_SIZE = 4096
HEADER_SIZES = tuple(16384 << shift for shift in range(9))  # 16 KiB to 4 MiB
_MAGIC = (b"LUKS\xba\xbe", b"SKUL\xba\xbe")
_FIELDS = struct.Struct(">6sHQQ48s32s64s40s48sQ184s64s")
_CHECKSUM_AT = 448
_CHECKSUM_ALGORITHMS = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}


@dataclass(frozen=True)
class Header:
    """The copy of a header that counts. `size` is that of one copy, in bytes."""

    size: int
    sequence: int
    uuid: str
    label: str
    subsystem: str
    copy: int
    metadata: luks2_json.Metadata


def read(area: bytes) -> Header:
    """Read a header area, which begins with the first copy.

    :raises HeaderBrokenError: neither copy is valid; the reason is the first copy's.
    """
    first_error: HeaderBrokenError | None = None
    headers: list[Header] = []
    try:
        headers.append(_read_copy(area, 0, 0))
    except HeaderBrokenError as error:
        first_error = error
    # A broken first copy cannot say where the second is: it can only be at one of nine places.
    sizes = (headers[0].size,) if headers else HEADER_SIZES
    for size in sizes:
        try:
            headers.append(_read_copy(area, size, 1))
        except HeaderBrokenError:
            continue
        break
    if not headers:
        raise first_error or HeaderBrokenError("there is no LUKS2 header")
    return max(headers, key=lambda header: (header.sequence, -header.copy))


def _read_copy(area: bytes, offset: int, copy: int) -> Header:
    binary = area[offset : offset + BINARY_SIZE]
    if len(binary) != BINARY_SIZE or not binary.startswith(_MAGIC[copy]):
        raise HeaderBrokenError("LUKS2 binary header: its magic is missing")
    fields = _FIELDS.unpack_from(binary)
    _, version, size, sequence, label, algorithm, _, uuid, subsystem, own, _, checksum = fields
    if version != 2:
        raise HeaderBrokenError(f"LUKS2 binary header: version {version} is not 2")
    if size not in HEADER_SIZES or own != offset or (copy and offset != size):
        raise HeaderBrokenError("LUKS2 binary header: its size or offset is not allowed")
    json_area = area[offset + BINARY_SIZE : offset + size]
    if len(json_area) != size - BINARY_SIZE:
        raise HeaderBrokenError("LUKS2 binary header: the area ends before the header does")
    hasher = _CHECKSUM_ALGORITHMS.get(_string(algorithm))
    if hasher is None:
        raise HeaderBrokenError("LUKS2 binary header: its checksum algorithm is not known here")
    digest = hasher(_without_checksum(binary) + json_area).digest()
    if not hmac.compare_digest(digest.ljust(64, b"\0"), checksum):
        raise HeaderBrokenError("LUKS2 header: the checksum does not hold")
    metadata = luks2_json.parse(json_area, size)
    return Header(size, sequence, _string(uuid), _string(label), _string(subsystem), copy, metadata)


def _string(field: bytes) -> str:
    text, _, rest = field.partition(b"\0")
    if len(text) == len(field) or any(rest) or not text.isascii():
        raise HeaderBrokenError("LUKS2 binary header: a text field is not terminated ASCII")
    return text.decode("ascii")


def _without_checksum(binary: bytes) -> bytes:
    return binary[:_CHECKSUM_AT] + bytes(64) + binary[_CHECKSUM_AT + 64 :]


def size_for(text_length: int) -> int:
    """The smallest header (one copy, bytes) that takes JSON text of so many bytes.

    :raises HeaderBrokenError: none does.
    """
    for size in HEADER_SIZES:
        if text_length < size - BINARY_SIZE:
            return size
    raise HeaderBrokenError("the segments do not fit in the largest LUKS2 header, 4 MiB")


def write(
    text: bytes,
    size: int,
    uuid: str,
    salts: tuple[bytes, bytes],
    label: str = "",
    sequence: int = 1,
) -> bytes:
    """Both copies, `2 * size` bytes.

    :param text: the JSON text; its config.json_size must say `size` - 4096.
    :param salts: 64 random bytes for each copy.
    """
    return b"".join(
        _write_copy(text, size, uuid, salts[copy], label, sequence, copy) for copy in (0, 1)
    )


def _write_copy(
    text: bytes, size: int, uuid: str, salt: bytes, label: str, sequence: int, copy: int
) -> bytes:
    fields = (
        _MAGIC[copy],
        2,
        size,
        sequence,
        label.encode("ascii"),
        b"sha256",
        salt,
        uuid.encode("ascii"),
        b"",
        copy * size,
        b"",
        b"",
    )
    binary = _FIELDS.pack(*fields).ljust(BINARY_SIZE, b"\0")
    area = text.ljust(size - BINARY_SIZE, b"\0")
    digest = hashlib.sha256(binary + area).digest()
    return binary[:_CHECKSUM_AT] + digest.ljust(64, b"\0") + binary[_CHECKSUM_AT + 64 :] + area
