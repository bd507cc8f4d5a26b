# SPDX-License-Identifier: Apache-2.0
"""Byte ranges of a disk: merged, aligned, subtracted. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Extent:
    """`length` bytes from `offset`."""

    offset: int
    length: int

    @property
    def end(self) -> int:
        return self.offset + self.length


def merged(extents: Iterable[Extent], gap: int = 0) -> list[Extent]:
    """Sorted, without empty ones, and joined where at most `gap` bytes lie between two."""
    out: list[Extent] = []
    for extent in sorted(extents):
        if extent.length <= 0:
            continue
        if out and extent.offset <= out[-1].end + gap:
            last = out[-1]
            out[-1] = Extent(last.offset, max(last.end, extent.end) - last.offset)
        else:
            out.append(extent)
    return out


def aligned(extents: Iterable[Extent], alignment: int, limit: int) -> list[Extent]:
    """Grown outwards to multiples of `alignment`, cut at `limit`, merged."""
    grown = []
    for extent in extents:
        start = extent.offset // alignment * alignment
        end = min(-(-extent.end // alignment) * alignment, limit)
        grown.append(Extent(start, end - start))
    return merged(grown)


def outside(extents: Iterable[Extent], limit: int) -> Iterator[Extent]:
    """What `extents` leave over of the range from 0 to `limit`."""
    at = 0
    for extent in merged(extents):
        if extent.offset > at:
            yield Extent(at, min(extent.offset, limit) - at)
        at = max(at, extent.end)
        if at >= limit:
            return
    if at < limit:
        yield Extent(at, limit - at)
