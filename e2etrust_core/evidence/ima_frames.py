# SPDX-License-Identifier: Apache-2.0
"""An IMA list cut into entries, and how many of them a quote covers: what the fast path stands on.

PCR 10 is a chain of the entries' digests.  A sequence of digests that comes to the quoted value is
the sequence that was extended, whatever the list says: so of an entry that is known by its template
digest only what is known of it is taken.  A list that lies, or one of whose entries something wrong
is known, comes to another value, and then counts by its own words.  Only entries that are new are
looked at: a list is cut at C speed at the name of its template, and every piece
must be as long as it states; else the list is read entry by entry.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import itemgetter

from e2etrust_core.evidence.errors import ImaListError, ImaListMismatch
from e2etrust_core.evidence.hash_chain import chain_end, chain_values, hash_each
from e2etrust_core.evidence.ima_list import (
    IMA_PCR,
    MAX_DATA,
    MAX_ENTRIES,
    MAX_IMA_LIST,
    ImaEntry,
    digest_size,
    read_entry,
    reader,
)
from e2etrust_core.suites import HASHES, Hash

_LEGACY = "ima"
_NOTHING_KNOWN: Mapping[bytes, bytes] = {}


@dataclass(frozen=True, slots=True)
class ImaFrames:
    """``heads`` are the entries' template digests as the list has them, ``known`` what is known to
    have been extended for each, or None; ``size`` is the list's, in bytes.

    ``pieces`` is the list cut at ``template``: before the first entry's data, and then each entry's
    data with its length before it (4 bytes, little-endian) and the next one's PCR and template
    digest behind it, as many zeros behind the last one.  Where the entries are of several
    templates, ``read`` has them, and ``ends`` where each ends in the list.
    """

    heads: list[bytes]
    known: list[bytes | None]
    size: int
    template: str | None = None
    pieces: list[bytes] | None = None
    read: list[ImaEntry] | None = None
    ends: list[int] | None = None

    def __len__(self) -> int:
        return len(self.heads)

    def body(self, number: int) -> bytes:
        """Return an entry's template data."""
        if self.read is not None:
            return self.read[number].hashed
        return next(iter(self.bodies([number])))

    def entry(self, number: int) -> ImaEntry:
        if self.read is not None:
            return self.read[number]
        before = (self.pieces or [])[number]
        pcr = int.from_bytes(before[-len(self.heads[0]) - 4 :][:4], "little")
        return ImaEntry(pcr, self.template or "", self.heads[number], self.body(number))

    def is_violation(self, number: int) -> bool:
        return not any(self.heads[number])

    def size_of(self, count: int) -> int:
        """Return the bytes that the first *count* entries take up in the list."""
        if count == len(self):
            return self.size
        if not count:
            return 0
        if self.ends is not None:
            return self.ends[count - 1]
        pieces, name = self.pieces or [], 4 + len(self.template or "")
        return count * name + sum(map(len, pieces[: count + 1])) - len(pieces[0])

    def bodies(self, numbers: list[int]) -> Iterable[bytes]:
        """Return the template data of entries *numbers*."""
        if self.read is not None:
            return [self.read[number].hashed for number in numbers]
        pieces = self.pieces or []
        chosen = [pieces[number + 1] for number in numbers]
        return map(itemgetter(slice(4, -len(pieces[0]))), chosen)


@dataclass(frozen=True, slots=True)
class Covered:
    """The first ``count`` entries come to the quoted PCR 10.

    ``unknown`` are the numbers, below ``count``, of the entries that were not known, ``digests``
    what was extended for each of those; ``padded`` says that these are padded SHA-1.
    """

    count: int
    unknown: list[int]
    digests: list[bytes]
    padded: bool


def split_ima_list(data: bytes, known: Mapping[bytes, bytes] = _NOTHING_KNOWN) -> ImaFrames:
    """Cut a list, or a part of one that begins with an entry.

    :param data: at most :data:`.ima_list.MAX_IMA_LIST` bytes; empty is a list of no entries.
    :param known: template digest -> digest in the quote's bank, of entries that need not be looked
        at; never of a violation.
    :raises ImaListError: too long, or cut off, or no list.
    """
    if len(data) > MAX_IMA_LIST:
        raise ImaListError(f"IMA list of {len(data)} bytes, at most {MAX_IMA_LIST} are read")
    if not data:
        return ImaFrames([], [], 0, read=[], ends=[])
    size = digest_size(data)
    return _at_once(data, size, known) or _one_by_one(data, size, known)


def covered_by_quote(
    frames: ImaFrames, bank: str, quoted: bytes, start: bytes | None = None
) -> Covered:
    """Return how many entries, from the first on, come to the *quoted* PCR 10.

    A list is read after the quote while the kernel goes on measuring: what is behind that number
    is not under the quote, and nothing may be concluded from it.

    :param start: PCR 10 before the first entry, for a part of a list; zeros if not said.
    :raises ImaListMismatch: no number of them does.
    """
    hashing = HASHES[bank]
    begin = bytes(hashing.size) if start is None else start
    nothing: list[bytes | None] = [None] * len(frames)
    ways = [(False, frames.known)]
    if any(frames.known):
        # What is known was told by other hosts, under names that nobody checked: where it does not
        # lead to the quote this list's own words may.
        ways.append((False, nothing))
    if hashing.size > HASHES["sha1"].size:
        # Kernels without the bank's hash, and all before Linux 5.8, extend the padded SHA-1.
        ways.append((True, nothing))
    for padded, known in ways:
        unknown = [number for number, value in enumerate(known) if value is None]
        made = _made(frames, unknown, hashing, padded)
        digests = made
        if len(unknown) < len(known):
            digests = list(known)  # type: ignore[arg-type]  # no None is left in it
            for number, value in zip(unknown, made, strict=True):
                digests[number] = value
        count = _steps(begin, digests, quoted, hashing.hashlib_name)
        if count is not None:
            below = unknown if count == len(frames) else [n for n in unknown if n < count]
            return Covered(count, below, made[: len(below)], padded)
    raise ImaListMismatch(_mismatch(frames))


def _made(frames: ImaFrames, numbers: list[int], hashing: Hash, padded: bool) -> list[bytes]:
    """Return what was extended for entries *numbers*, which ascend."""
    made = hash_each("sha1" if padded else hashing.hashlib_name, frames.bodies(numbers))
    if padded:
        made = [digest.ljust(hashing.size, b"\0") for digest in made]
    zeros = bytes(len(frames.heads[0])) if frames.heads else b""
    if zeros in frames.heads:
        for place, number in enumerate(numbers):
            if frames.heads[number] == zeros:
                made[place] = b"\xff" * hashing.size
    return made


def _steps(begin: bytes, digests: list[bytes], quoted: bytes, hash_name: str) -> int | None:
    # As it is when nothing was measured between quote and list.
    if chain_end(hash_name, begin, digests) == quoted:
        return len(digests)
    values = enumerate(chain_values(hash_name, begin, digests))
    return next((number for number, value in values if value == quoted), None)


def _mismatch(frames: ImaFrames) -> str:
    # Not looked at before: an entry of another PCR never comes to this one's value.
    others = [n for n in range(len(frames)) if frames.entry(n).pcr != IMA_PCR]
    if others:
        return f"entry {others[0] + 1} of the IMA list is of another PCR than {IMA_PCR}"
    return f"no number of the IMA list's entries comes to the quoted PCR {IMA_PCR}"


def _at_once(data: bytes, size: int, known: Mapping[bytes, bytes]) -> ImaFrames | None:
    """Cut where every entry is of the first one's template, else None."""
    template = read_entry(reader(data), size, 1, verify=False).template
    if template == _LEGACY:
        return None
    head, name = 4 + size, template.encode()
    # From behind: there, no search of CPython's prepares a table for each of the pieces.
    pieces = data.rsplit(len(name).to_bytes(4, "little") + name)
    bodies = pieces[1:]
    if len(pieces[0]) != head or not 1 <= len(bodies) <= MAX_ENTRIES:
        return None
    bodies[-1] = pieces[-1] = pieces[-1] + bytes(head)
    # Also of known ones: an entry of another template would go unseen behind them.
    lengths = [length - 4 - head for length in map(len, bodies)]
    if min(lengths) < 0 or max(lengths) > MAX_DATA:
        return None
    if b"".join(map(itemgetter(slice(4)), bodies)) != struct.pack(f"<{len(bodies)}I", *lengths):
        return None
    heads = list(map(itemgetter(slice(-size, None)), pieces))
    heads.pop()
    found = list(map(known.get, heads))
    return ImaFrames(heads, found, len(data), template, pieces)


def _one_by_one(data: bytes, size: int, known: Mapping[bytes, bytes]) -> ImaFrames:
    cursor = reader(data)
    entries: list[ImaEntry] = []
    ends: list[int] = []
    while cursor.left:
        if len(entries) >= MAX_ENTRIES:
            raise ImaListError(f"IMA list of more than {MAX_ENTRIES} entries")
        entries.append(read_entry(cursor, size, len(entries) + 1, verify=False))
        ends.append(len(data) - cursor.left)
    heads = [entry.template_digest for entry in entries]
    return ImaFrames(heads, list(map(known.get, heads)), len(data), read=entries, ends=ends)
