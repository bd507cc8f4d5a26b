# SPDX-License-Identifier: Apache-2.0
"""Integrity of the protected extents: an SM3 Merkle tree of two levels over their ciphertext.

    leaf = SM3("E2ETLEAF" || offset u64 || length u64 || ciphertext)
    page = SM3("E2ETPAGE" || page number u64 || up to 2048 leaves)
    root = SM3("E2ETROOT" || leaf size u64 || number of leaves u64 || disk size u64 || pages)

Numbers are little endian. An extent's leaves start at its own offset, so the leaf names both place
and length; a leaf is 64 KiB, the last one of an extent less. The hash area holds all pages, then
all leaves, then zeros up to a multiple of 4096. Opening an image checks the pages against the root
(32 bytes for every 128 MiB that is protected); a page of leaves is checked when one of its leaves
is first needed.

The tree is hashed by libgcrypt; the root, which vouches for all of it, by the crypto providers as
well, the second opinion among them where one is asked for.
"""

from __future__ import annotations

import bisect
import struct
from collections.abc import Iterator, Sequence

from e2etrust_core.crypto import OpinionsDiffer, digest_of
from e2etrust_core.sealed.errors import HashAreaBrokenError
from e2etrust_core.sealed.extents import Extent
from e2etrust_core.sealed.gcrypt import sm3

LEAF_SIZE = 64 * 1024
LEAVES_PER_PAGE = 2048
HASH = 32


def leaf_hash(extent: Extent, ciphertext: bytes | bytearray | memoryview) -> bytes:
    """The hash of one leaf, which stands at `extent`."""
    return sm3(b"E2ETLEAF" + struct.pack("<QQ", extent.offset, extent.length), ciphertext)


def page_hash(number: int, leaves: bytes | memoryview) -> bytes:
    """The hash over one page of leaf hashes."""
    return sm3(b"E2ETPAGE" + struct.pack("<Q", number), leaves)


def root_hash(leaf_size: int, count: int, disk_size: int, pages: bytes | memoryview) -> bytes:
    """The root over all page hashes.

    :raises OpinionsDiffer: libgcrypt, which hashes the tree, and the crypto providers do not agree.
    """
    head = b"E2ETROOT" + struct.pack("<QQQ", leaf_size, count, disk_size)
    root = sm3(head, pages)
    if digest_of("sm3", head + bytes(pages)) != root:
        raise OpinionsDiffer("libgcrypt and a crypto provider come to different SM3 roots")
    return root


class LeafMap:
    """Which leaf covers which bytes: from the protected extents alone."""

    def __init__(self, extents: Sequence[Extent], leaf_size: int = LEAF_SIZE) -> None:
        self._extents = list(extents)
        self._leaf_size = leaf_size
        self._offsets = [extent.offset for extent in extents]
        self._first: list[int] = []
        count = 0
        for extent in extents:
            self._first.append(count)
            count += -(-extent.length // leaf_size)
        self.count = count

    @property
    def pages(self) -> int:
        """How many pages the leaves fill."""
        return -(-self.count // LEAVES_PER_PAGE)

    @property
    def hash_bytes(self) -> int:
        """Bytes of all page and leaf hashes."""
        return (self.pages + self.count) * HASH

    def leaf_at(self, offset: int) -> tuple[int, Extent] | None:
        """Number and place of the leaf that covers the byte `offset`, or None if none does."""
        index = bisect.bisect_right(self._offsets, offset) - 1
        if index < 0 or offset >= self._extents[index].end:
            return None
        extent = self._extents[index]
        inner = (offset - extent.offset) // self._leaf_size
        start = extent.offset + inner * self._leaf_size
        return self._first[index] + inner, Extent(start, min(self._leaf_size, extent.end - start))

    def next_offset(self, offset: int, limit: int) -> int:
        """Where the next protected byte from `offset` on stands, or `limit`."""
        index = bisect.bisect_left(self._offsets, offset)
        return min(self._offsets[index], limit) if index < len(self._offsets) else limit

    def leaves(self) -> Iterator[Extent]:
        """All leaves in order."""
        for extent in self._extents:
            for start in range(extent.offset, extent.end, self._leaf_size):
                yield Extent(start, min(self._leaf_size, extent.end - start))


def build(leaves: Sequence[bytes], leaf_size: int, disk_size: int) -> tuple[bytes, bytes]:
    """Make the hash area (not yet padded) and the root from all leaf hashes."""
    flat = b"".join(leaves)
    step = LEAVES_PER_PAGE * HASH
    pages = b"".join(
        page_hash(number, flat[at : at + step])
        for number, at in enumerate(range(0, len(flat), step))
    )
    return pages + flat, root_hash(leaf_size, len(leaves), disk_size, pages)


def check_pages(
    pages: bytes, leaf_map: LeafMap, leaf_size: int, disk_size: int, root: bytes
) -> None:
    """
    :raises HashAreaBrokenError: the pages do not lead to the root.
    :raises OpinionsDiffer: see :func:`root_hash`.
    """
    if root_hash(leaf_size, leaf_map.count, disk_size, pages) != root:
        raise HashAreaBrokenError("the hash list does not lead to the root in the token")
