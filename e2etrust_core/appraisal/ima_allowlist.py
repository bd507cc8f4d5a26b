# SPDX-License-Identifier: Apache-2.0
"""Which files may be measured: millions of them in some 33 bytes each.

A file is kept as the SHA-256 of what template ima-ng records of it (digest and path), so in a
SHA-256 bank the digest that is extended is the very key.  Keys stand sorted in one block, and a
table of prefixes says where to look.
"""

from __future__ import annotations

import hashlib
import re
import sys
from array import array
from collections.abc import Iterable, Sequence
from itertools import pairwise

from e2etrust_core.errors import PolicyError

_KEY = 32
MAX_LINE = 8192
MAX_FILES = 20_000_000
#: Hash by number of hexadecimal digits, where a line does not name it (SM3 must be named).
NAMED_BY_LENGTH = {40: "sha1", 64: "sha256", 96: "sha384", 128: "sha512"}
#: Hashes that a line may name, and their number of hexadecimal digits.
LENGTHS = {"sha1": 40, "sha256": 64, "sha384": 96, "sha512": 128, "sm3": 64, "sm3-256": 64}
_LINE = re.compile(rb"(?:(verity:)?([a-z0-9-]+):)?([0-9a-fA-F]+) [ *](.+)", re.DOTALL)
#: As coreutils write a backslash, newline and carriage return in a path.
_ESCAPED = re.compile(rb"\\[\\nr]")
_UNESCAPED = {b"\\\\": b"\\", b"\\n": b"\n", b"\\r": b"\r"}


def file_key(algorithm: str, digest: bytes, path: bytes, *, verity: bool = False) -> bytes:
    """Return the key of one file.

    :param algorithm: as the kernel names it (crypto/hash_info.c): ``sha256``, ``sm3``.
    :param path: as the kernel writes it (:func:`measured_path`).
    """
    kind = b"verity:" if verity else b""
    fields = (kind + algorithm.encode() + b":\0" + digest, path + b"\0")
    return hashlib.sha256(b"".join(len(one).to_bytes(4, "little") + one for one in fields)).digest()


def measured_path(path: bytes) -> bytes:
    """Return *path* as IMA writes it (ima_template_lib.c): no spaces."""
    return path.replace(b" ", b"_")


class Allowlist:
    """A set of files; made once, never changed.  ``digest`` is over all of it."""

    def __init__(self, keys: Iterable[bytes]) -> None:
        heaps = [bytearray() for _ in range(256)]
        for key in keys:
            heaps[key[0]] += key
        block = bytearray()
        for heap in heaps:
            block += b"".join(
                sorted({bytes(heap[n : n + _KEY]) for n in range(0, len(heap), _KEY)})
            )
            heap.clear()
        self._keys = bytes(block)
        self.digest = hashlib.sha256(self._keys).digest()
        # Some eight keys to a prefix.
        self._shift = 32 - min(24, max(1, len(self).bit_length() - 3))
        self._starts = self._table()

    def __len__(self) -> int:
        return len(self._keys) // _KEY

    @property
    def size(self) -> int:
        """Bytes of memory."""
        return len(self._keys) + self._starts.itemsize * len(self._starts)

    def __contains__(self, key: bytes) -> bool:
        return not self.absent([key])

    def absent(self, keys: Sequence[bytes]) -> list[int]:
        """Return which of *keys*, by their place, are not in the list.

        :param keys: 32 bytes each.
        """
        find, starts, shift = self._keys.find, self._starts, self._shift
        missing = []
        for place, (key, prefix) in enumerate(zip(keys, _prefixes(keys), strict=True)):
            slot = prefix >> shift
            at = find(key, starts[slot], starts[slot + 1])
            if at % _KEY and not self._has(key, at, starts[slot + 1]):
                missing.append(place)
        return missing

    def _has(self, key: bytes, at: int, end: int) -> bool:
        """Whether *key* stands behind *at*, where it was found across two keys, or not at all."""
        while at >= 0 and at % _KEY:
            at = self._keys.find(key, at + 1, end)
        return at >= 0

    def _table(self) -> array[int]:
        counts = array("I", bytes(4 * ((1 << (32 - self._shift)) + 1)))
        for at in range(0, len(self._keys), _KEY):
            counts[(int.from_bytes(self._keys[at : at + 4], "big") >> self._shift) + 1] += _KEY
        for before, after in pairwise(range(len(counts))):
            counts[after] += counts[before]
        return counts


def _prefixes(keys: Sequence[bytes]) -> array[int]:
    """Return the first four bytes of each key as a number, big-endian."""
    words = array("I", b"".join(keys))[:: _KEY // 4]
    if sys.byteorder == "little":
        words.byteswap()
    return words


def read_allowlist(lines: Iterable[bytes]) -> Allowlist:
    """Read lines as sha256sum(1) writes them: digest, two spaces, path.

    A digest may name its hash, SM3 must (``sm3:``, of older kernels ``sm3-256:``), and
    ``verity:`` before that says that it is an fs-verity digest.  Empty lines and those with ``#``
    at the beginning are left out.

    :raises PolicyError: a line that is none of that, by its number.
    """
    return Allowlist(_keys(lines))


def _keys(lines: Iterable[bytes]) -> Iterable[bytes]:
    files = 0
    for number, line in enumerate(lines, 1):
        text = line.rstrip(b"\r\n")
        if not text or text.startswith(b"#"):
            continue
        files += 1
        if files > MAX_FILES:
            raise PolicyError(f"an allowlist of more than {MAX_FILES} files")
        yield _line_key(text, number)


def _line_key(text: bytes, number: int) -> bytes:
    escaped = text.startswith(b"\\")  # sha256sum's way with a path that holds a newline
    found = _LINE.fullmatch(text[1:] if escaped else text) if len(text) <= MAX_LINE else None
    if found is None:
        raise PolicyError(f"line {number}: a digest, two spaces and a path")
    verity, named, digits, path = found.groups()
    algorithm = named.decode() if named else NAMED_BY_LENGTH.get(len(digits), "")
    if LENGTHS.get(algorithm) != len(digits):
        raise PolicyError(f"line {number}: the digest is of no hash known here")
    if escaped:
        path = _ESCAPED.sub(lambda one: _UNESCAPED.get(one[0], one[0]), path)
    digest = bytes.fromhex(digits.decode())
    return file_key(algorithm, digest, measured_path(path), verity=bool(verity))
