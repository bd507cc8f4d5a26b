# SPDX-License-Identifier: Apache-2.0
"""Inputs altered as attackers and broken disks alter them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

_SIZES = (1, 2, 4, 8)
_EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63, 2**64 - 1)
_MOST_CHANGES = 6
LONGEST = 64 * 1024

_Change = Callable[[Random, bytearray, Sequence[bytes]], None]


def mutate(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Return *data* after one to six changes; pieces may come from *others*."""
    changed = bytearray(data)
    for _ in range(random.randint(1, _MOST_CHANGES)):
        random.choice(_CHANGES)(random, changed, others)
    return bytes(changed[:LONGEST])


def _flip(random: Random, data: bytearray, _others: Sequence[bytes]) -> None:
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _number(random: Random, data: bytearray, _others: Sequence[bytes]) -> None:
    """A number of one to eight bytes, of the edges of what fits or near what stood there."""
    size = random.choice(_SIZES)
    if len(data) < size:
        return
    at = random.randrange(len(data) - size + 1)
    order = random.choice(("little", "big"))
    old = int.from_bytes(data[at : at + size], order)  # type: ignore[arg-type]
    new = random.choice((*_EDGES, old + 1, old - 1, old * 2)) % (1 << (8 * size))
    data[at : at + size] = new.to_bytes(size, order)  # type: ignore[arg-type]


def _cut(random: Random, data: bytearray, _others: Sequence[bytes]) -> None:
    if data:
        at = random.randrange(len(data))
        del data[at : at + random.choice((1, 2, 4, 16, len(data)))]


def _insert(random: Random, data: bytearray, others: Sequence[bytes]) -> None:
    source = random.choice(others) if others and random.random() < 0.5 else bytes(data)
    if source:
        start = random.randrange(len(source))
        piece = source[start : start + random.choice((1, 4, 32, 256))]
        at = random.randrange(len(data) + 1)
        data[at:at] = piece


def _fill(random: Random, data: bytearray, _others: Sequence[bytes]) -> None:
    if data:
        at = random.randrange(len(data))
        size = min(random.choice((1, 2, 4, 16, 64)), len(data) - at)
        data[at : at + size] = bytes([random.choice((0, 0xFF, random.randrange(256)))]) * size


_CHANGES: tuple[_Change, ...] = (_flip, _number, _number, _cut, _insert, _fill)
