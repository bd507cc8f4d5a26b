# SPDX-License-Identifier: Apache-2.0
"""IMA measurement lists: a bounded reader of the kernel's binary form, and their replay.

Linux security/integrity/ima/ima_fs.c (binary_runtime_measurements, little-endian) and
ima_template.c.  An entry counts only where its template digest is that of its data: what is
concluded from an entry is then under the quote, by way of the PCR.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from e2etrust_core.crypto import digest_of
from e2etrust_core.evidence.errors import ImaListError
from e2etrust_core.evidence.little_endian import LittleEndianReader
from e2etrust_core.suites import HASHES

MAX_IMA_LIST = 64 * 1024 * 1024
MAX_ENTRIES = 500_000
IMA_PCR = 10

_MAX_NAME = 64
MAX_DATA = 1024 * 1024
#: Digest size -> hash of the template digests: sha1, unless the list was read from one of the
#: kernel's files by hash (binary_runtime_measurements_sha256 and its like, Linux 6.10).
_TEMPLATE_HASHES = {20: "sha1", 32: "sha256", 48: "sha384", 64: "sha512"}
#: Template ``ima`` (the first one): a SHA-1 and a name in 256 bytes, not length-prefixed fields.
_LEGACY = "ima"
_LEGACY_DIGEST = 20
_LEGACY_NAME = 256


@dataclass(frozen=True, slots=True)
class ImaEntry:
    """``hashed`` is what the template digest is over; a ``violation`` has a digest of zeros."""

    pcr: int
    template: str
    template_digest: bytes
    hashed: bytes

    @property
    def violation(self) -> bool:
        return not any(self.template_digest)

    def fields(self) -> list[bytes]:
        """Return the template's fields (legacy ``ima``: digest and name).

        :raises ImaListError: they do not fill the entry.
        """
        if self.template == _LEGACY:
            return [self.hashed[:_LEGACY_DIGEST], self.hashed[_LEGACY_DIGEST:].rstrip(b"\0")]
        data, at, found = self.hashed, 0, []
        while at < len(data):
            begin = at + 4
            at = begin + int.from_bytes(data[at:begin], "little")
            if at > len(data):  # a length that is itself cut off leads there, too
                raise ImaListError("the fields of an IMA entry are cut off")
            found.append(data[begin:at])
        return found


def parse_ima_list(data: bytes) -> list[ImaEntry]:
    """Decode a whole list and check every entry against its own digest.

    :param data: at most :data:`MAX_IMA_LIST` bytes; empty is a list of no entries.
    :raises ImaListError: too long, cut off, or an entry whose digest is not that of its data.
    """
    if len(data) > MAX_IMA_LIST:
        raise ImaListError(f"IMA list of {len(data)} bytes, at most {MAX_IMA_LIST} are read")
    if not data:
        return []
    size = digest_size(data)
    cursor = reader(data)
    entries: list[ImaEntry] = []
    while cursor.left:
        if len(entries) >= MAX_ENTRIES:
            raise ImaListError(f"IMA list of more than {MAX_ENTRIES} entries")
        entries.append(read_entry(cursor, size, len(entries) + 1))
    return entries


def replay_ima_list(
    entries: Sequence[ImaEntry], bank: str, *, padded: bool = False
) -> Iterator[bytes]:
    """Yield the value of PCR 10 in *bank* before the first entry and after each one.

    :param padded: extend the SHA-1 template digest, zeros behind it, as kernels do for a bank
        whose hash they do not have (SM3 on many), and as all did before Linux 5.8.
    """
    hashing = HASHES[bank]
    value = bytes(hashing.size)
    yield value
    for entry in entries:
        if entry.pcr == IMA_PCR:
            value = digest_of(hashing.hashlib_name, value + _extended(entry, bank, padded))
        yield value


def entries_quoted(entries: Sequence[ImaEntry], bank: str, quoted: bytes) -> int | None:
    """Return how many entries, from the first on, come to the *quoted* PCR 10; None if no number.

    A list is read before or after the quote while the kernel goes on measuring: entries behind
    that number are not under the quote and nothing may be concluded from them.
    """
    modes = (False, True) if HASHES[bank].size > HASHES["sha1"].size else (False,)
    for padded in modes:
        for count, value in enumerate(replay_ima_list(entries, bank, padded=padded)):
            if hmac.compare_digest(value, quoted):
                return count
    return None


def _extended(entry: ImaEntry, bank: str, padded: bool) -> bytes:
    hashing = HASHES[bank]
    if entry.violation:
        return b"\xff" * hashing.size
    if padded:
        return hashlib.sha1(entry.hashed).digest().ljust(hashing.size, b"\0")  # noqa: S324
    return digest_of(hashing.hashlib_name, entry.hashed)


def reader(data: bytes) -> LittleEndianReader:
    """Return a cursor whose errors are this module's."""
    return LittleEndianReader(data, "IMA list", ImaListError)


def digest_size(data: bytes) -> int:
    """Return the size of the list's template digests, as its first entry has it.

    Of an entry whose digest is not that of its data (it was altered) the form tells.

    :raises ImaListError: with no size is there an entry.
    """
    for verify in (True, False):
        for size in _TEMPLATE_HASHES:
            try:
                read_entry(reader(data), size, 1, verify=verify)
            except ImaListError:
                continue
            return size
    raise ImaListError("the IMA list's first entry is of no form known here")


def read_entry(
    cursor: LittleEndianReader, size: int, number: int, *, verify: bool = True
) -> ImaEntry:
    """Read one entry at *cursor*, its template digest *size* bytes.

    :param number: for the message, from 1 on.
    :param verify: check the template digest, unless it is a violation's.
    :raises ImaListError: cut off, too long, of no form known here, or not its digest's.
    """
    pcr, digest = cursor.uint(4), cursor.take(size)
    if pcr >= 24:
        raise ImaListError(f"IMA entry {number}: there is no PCR {pcr}")
    name_size = cursor.uint(4)
    if not 1 <= name_size <= _MAX_NAME:
        raise ImaListError(f"IMA entry {number}: a template name of {name_size} bytes")
    name = cursor.take(name_size)
    if not all(0x21 <= byte < 0x7F for byte in name):
        raise ImaListError(f"IMA entry {number}: a template name with odd characters")
    template = name.decode("ascii")
    hashed = _legacy_data(cursor, number) if template == _LEGACY else _data(cursor, number)
    entry = ImaEntry(pcr, template, digest, hashed)
    if verify and not entry.violation:
        expected = digest_of(_TEMPLATE_HASHES[size], hashed)
        if not hmac.compare_digest(expected, digest):
            raise ImaListError(f"IMA entry {number}: its template digest is not that of its data")
    return entry


def _data(cursor: LittleEndianReader, number: int) -> bytes:
    size = cursor.uint(4)
    if size > MAX_DATA:
        raise ImaListError(f"IMA entry {number}: {size} bytes of data, at most {MAX_DATA} are read")
    return cursor.take(size)


def _legacy_data(cursor: LittleEndianReader, number: int) -> bytes:
    digest, size = cursor.take(_LEGACY_DIGEST), cursor.uint(4)
    if size >= _LEGACY_NAME:
        raise ImaListError(f"IMA entry {number}: a name of {size} bytes in template ima")
    return digest + cursor.take(size).ljust(_LEGACY_NAME, b"\0")
