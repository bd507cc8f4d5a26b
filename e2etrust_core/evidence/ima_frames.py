# SPDX-License-Identifier: Apache-2.0
"""An IMA list cut into entries, and how many of them a quote covers: what the fast path stands on.

A list is cut at C speed where all its entries are of one template: the cut is taken only if every
entry's stated length is that of its piece, and is then the one that reading entry by entry gives.
Template digests are not looked at: the bank's own digests of the data come to the quoted PCR or
they do not, and nothing else vouches for an entry.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from e2etrust_core.crypto import digest_of
from e2etrust_core.evidence.errors import ImaListError, ImaListMismatch
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
from e2etrust_core.suites import HASHES

_LEGACY = "ima"


class _Digest(Protocol):
    def digest(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class ImaFrames:
    """Entry *n* is of ``templates[n]``; ``heads[n]`` is its PCR (4 bytes, little-endian) and
    template digest, ``bodies[n]`` its template data; ``ends[n]`` is where it ends in the list,
    empty where all are of one template."""

    heads: list[bytes]
    templates: list[str]
    bodies: list[bytes]
    ends: list[int]

    def __len__(self) -> int:
        return len(self.bodies)

    @property
    def template(self) -> str | None:
        """The one template of all entries, None where there are several."""
        return self.templates[0] if self.templates and not self.ends else None

    def entry(self, number: int) -> ImaEntry:
        head = self.heads[number]
        pcr = int.from_bytes(head[:4], "little")
        return ImaEntry(pcr, self.templates[number], head[4:], self.bodies[number])

    def size_of(self, count: int) -> int:
        """Return the bytes that the first *count* entries take up in the list."""
        if not count:
            return 0
        if self.ends:
            return self.ends[count - 1]
        each = len(self.heads[0]) + 8 + len(self.templates[0])
        return count * each + sum(map(len, self.bodies[:count]))

    @property
    def violations(self) -> list[int]:
        """The numbers of the entries with a digest of zeros."""
        if not self.heads:
            return []
        zeros = bytes(len(self.heads[0]) - 4)
        return [n for n, head in enumerate(self.heads) if head[4:] == zeros]


@dataclass(frozen=True, slots=True)
class Covered:
    """The first ``count`` entries come to the quoted PCR 10.

    ``digests`` are what was extended for each entry; ``unknown`` the numbers, below ``count``, of
    the entries whose digest was not among the known ones.
    """

    count: int
    digests: list[bytes]
    unknown: list[int]
    padded: bool


def split_ima_list(data: bytes) -> ImaFrames:
    """Cut a list, or a part of one that begins with an entry.

    :param data: at most :data:`.ima_list.MAX_IMA_LIST` bytes; empty is a list of no entries.
    :raises ImaListError: too long, or cut off, or no list.
    """
    if len(data) > MAX_IMA_LIST:
        raise ImaListError(f"IMA list of {len(data)} bytes, at most {MAX_IMA_LIST} are read")
    if not data:
        return ImaFrames([], [], [], [])
    size = digest_size(data)
    return _at_once(data, size) or _one_by_one(data, size)


def covered_by_quote(
    frames: ImaFrames,
    bank: str,
    quoted: bytes,
    start: bytes | None = None,
    known: Mapping[bytes, bytes] | None = None,
) -> Covered:
    """Return how many entries, from the first on, come to the *quoted* PCR 10.

    A list is read after the quote while the kernel goes on measuring: what is behind that number
    is not under the quote, and nothing may be concluded from it.

    :param start: PCR 10 before the first entry, for a part of a list; zeros if not said.
    :param known: template data -> its digest in *bank*, of entries seen before.
    :raises ImaListMismatch: no number of them does.
    """
    hashing = HASHES[bank]
    begin = bytes(hashing.size) if start is None else start
    extend = _constructor(hashing.hashlib_name)
    ways: list[tuple[Callable[[bytes], bytes], Mapping[bytes, bytes], bool]] = [
        (lambda body: extend(body).digest(), known or {}, False)
    ]
    if hashing.size > HASHES["sha1"].size:
        # Kernels without the bank's hash, and all before Linux 5.8, extend the padded SHA-1.
        ways.append((partial(_padded_sha1, size=hashing.size), {}, True))
    violations = frames.violations
    for digest, seen, padded in ways:
        digests, unknown = _digests(frames, digest, seen, violations, hashing.size)
        count = _steps(begin, digests, quoted, extend)
        if count is not None:
            return Covered(count, digests, [n for n in unknown if n < count], padded)
    raise ImaListMismatch(_mismatch(frames))


def _digests(
    frames: ImaFrames,
    digest: Callable[[bytes], bytes],
    known: Mapping[bytes, bytes],
    violations: Sequence[int],
    size: int,
) -> tuple[list[bytes], list[int]]:
    found = [known.get(body) for body in frames.bodies]
    for number in violations:
        found[number] = None
    unknown = [number for number, value in enumerate(found) if value is None]
    bodies = frames.bodies
    for number in unknown:
        found[number] = digest(bodies[number])
    for number in violations:
        found[number] = b"\xff" * size
    return found, unknown  # type: ignore[return-value]  # none is None any more


def _steps(
    value: bytes, digests: list[bytes], quoted: bytes, extend: Callable[[bytes], _Digest]
) -> int | None:
    if value == quoted:
        return 0
    for number, digest in enumerate(digests, 1):
        value = extend(value + digest).digest()
        if value == quoted:
            return number
    return None


def _mismatch(frames: ImaFrames) -> str:
    # Not looked at before: an entry of another PCR never comes to this one's value.
    own = IMA_PCR.to_bytes(4, "little")
    others = [n for n, head in enumerate(frames.heads, 1) if head[:4] != own]
    if others:
        return f"entry {others[0]} of the IMA list is of another PCR than {IMA_PCR}"
    return f"no number of the IMA list's entries comes to the quoted PCR {IMA_PCR}"


def _at_once(data: bytes, size: int) -> ImaFrames | None:
    """Cut where every entry is of the first one's template, else None."""
    first = read_entry(reader(data), size, 1, verify=False)
    if first.template == _LEGACY:
        return None
    name = first.template.encode()
    separator = len(name).to_bytes(4, "little") + name
    head = 4 + size
    pieces = data.split(separator)
    heads = [pieces[0], *[piece[-head:] for piece in pieces[1:-1]]]
    bodies = [piece[4:-head] for piece in pieces[1:-1]]
    bodies.append(pieces[-1][4:])
    lengths = list(map(len, bodies))
    count = len(bodies)
    if count > MAX_ENTRIES or max(lengths) > MAX_DATA:
        return None
    stated = b"".join([piece[:4] for piece in pieces[1:]])
    whole = count * (head + len(separator) + 4) + sum(lengths) == len(data)
    if not whole or stated != struct.pack(f"<{count}I", *lengths):
        return None
    return ImaFrames(heads, [first.template] * count, bodies, [])


def _one_by_one(data: bytes, size: int) -> ImaFrames:
    cursor = reader(data)
    frames = ImaFrames([], [], [], [])
    while cursor.left:
        if len(frames) >= MAX_ENTRIES:
            raise ImaListError(f"IMA list of more than {MAX_ENTRIES} entries")
        entry = read_entry(cursor, size, len(frames) + 1, verify=False)
        frames.heads.append(entry.pcr.to_bytes(4, "little") + entry.template_digest)
        frames.templates.append(entry.template)
        frames.bodies.append(entry.hashed)
        frames.ends.append(len(data) - cursor.left)
    return frames


def _padded_sha1(body: bytes, *, size: int) -> bytes:
    return hashlib.sha1(body).digest().ljust(size, b"\0")  # noqa: S324 - what the kernel extended


class _Done:
    def __init__(self, value: bytes) -> None:
        self._value = value

    def digest(self) -> bytes:
        return self._value


def _constructor(name: str) -> Callable[[bytes], _Digest]:
    if name == "sm3":  # by way of the providers
        return lambda data: _Done(digest_of(name, data))
    constructor: Callable[[bytes], _Digest] = getattr(hashlib, name)
    return constructor
