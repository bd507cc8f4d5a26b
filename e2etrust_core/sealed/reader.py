# SPDX-License-Identifier: Apache-2.0
"""The plain view of a sealed image: every protected byte is hashed before it is decrypted."""

from __future__ import annotations

import hmac
import os
import threading
from collections import OrderedDict
from typing import Any

from e2etrust_core.sealed import merkle, token
from e2etrust_core.sealed.errors import (
    HashAreaBrokenError,
    ImageChangedError,
    ImageReadError,
    ProtectedDataAlteredError,
)
from e2etrust_core.sealed.extents import Extent
from e2etrust_core.sealed.image import SealedImage, open_file, read_exactly
from e2etrust_core.sealed.sm4xts import Sm4Xts


class SealedReader:
    """Reads a sealed image's disk; safe for threads; never writes.

    A leaf is read into private memory, hashed there and decrypted there, so that whoever can
    change the file cannot change it between check and use. Decrypted leaves are kept in a small
    cache, because a guest asks for less than a leaf at a time.
    """

    def __init__(self, image: SealedImage, key: bytes, *, cached_leaves: int = 256) -> None:
        """
        :param key: the 32-byte volume key.
        :param cached_leaves: how many decrypted leaves (64 KiB each) are kept.
        :raises KeyWrongError: it is another image's key.
        :raises HeaderForgedError: the header was altered without the key.
        :raises ImageChangedError: the file is no longer the one `image` was read from.
        """
        token.check_key(image.header.metadata, image.token, key)
        self.image = image
        self.size = image.disk_size
        self._leaf_map = image.leaf_map()
        self._cached_leaves = cached_leaves
        self._cache: OrderedDict[int, bytearray] = OrderedDict()
        self._leaf_pages: dict[int, bytes] = {}
        self._lock = threading.Lock()
        self._fd = open_file(image.path)
        try:
            current = SealedImage.from_fd(self._fd, image.path)
            if not hmac.compare_digest(current.header_digest, image.header_digest):
                raise ImageChangedError("the image file is not the one that was checked")
            self._pages = current.read_pages(self._fd)
            self._cipher = Sm4Xts(key)
        except BaseException:
            os.close(self._fd)
            raise

    def read_into(self, buffer: Any, offset: int) -> int:
        """Fill `buffer` (writable, contiguous) from byte `offset` of the disk.

        :returns: bytes read; fewer than asked for only at the disk's end.
        :raises ProtectedDataAlteredError: protected bytes are not those that were sealed.
        :raises HashAreaBrokenError: the hash list was altered.
        :raises ImageReadError: the file cannot be read.
        """
        if offset < 0:
            raise ValueError("an offset cannot be negative")
        view = memoryview(buffer).cast("B")
        end = min(offset + len(view), self.size)
        at = offset
        while at < end:
            target = view[at - offset : end - offset]
            found = self._leaf_map.leaf_at(at)
            if found is None:
                at += self._read_plain(target, at, self._leaf_map.next_offset(at, end))
            else:
                at += self._read_leaf(target, at, *found)
        return max(0, at - offset)

    def read(self, size: int, offset: int) -> bytes:
        """As read_into, into new bytes."""
        buffer = bytearray(max(0, min(size, self.size - offset)))
        return bytes(buffer[: self.read_into(buffer, offset)])

    def close(self) -> None:
        """Wipe the key and what was decrypted. No other thread may be reading."""
        with self._lock:
            for leaf in self._cache.values():
                leaf[:] = bytes(len(leaf))
            self._cache.clear()
            if self._fd >= 0:
                os.close(self._fd)
            self._fd = -1
        self._cipher.close()

    def __enter__(self) -> SealedReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read_plain(self, target: memoryview, at: int, end: int) -> int:
        """What is not protected, straight into the caller's buffer."""
        size = done = min(end - at, len(target))
        while size:
            try:
                count = os.preadv(self._fd, [target[done - size : done]], at + done - size)
            except OSError as error:
                raise ImageReadError(f"reading the image failed: {error.strerror}") from None
            if not count:
                raise ImageReadError("the image file ends too early")
            size -= count
        return done

    def _read_leaf(self, target: memoryview, at: int, number: int, place: Extent) -> int:
        leaf = self._leaf(number, place)
        start = at - place.offset
        count = min(place.length - start, len(target))
        target[:count] = memoryview(leaf)[start : start + count]
        return count

    def _leaf(self, number: int, place: Extent) -> bytearray:
        with self._lock:
            leaf = self._cache.get(number)
            if leaf is not None:
                self._cache.move_to_end(number)
                return leaf
        leaf = bytearray(place.length)
        self._read_plain(memoryview(leaf), place.offset, place.end)
        if not hmac.compare_digest(merkle.leaf_hash(place, leaf), self._expected(number)):
            raise ProtectedDataAlteredError(
                f"protected data at byte {place.offset} is not what was sealed"
            )
        self._cipher.decrypt_into(leaf, place.offset // 512)
        with self._lock:
            self._cache[number] = leaf
            while len(self._cache) > self._cached_leaves:
                self._cache.popitem(last=False)
        return leaf

    def _expected(self, number: int) -> bytes:
        """A leaf's hash, out of a page that was checked."""
        page, slot = divmod(number, merkle.LEAVES_PER_PAGE)
        leaves = self._leaf_pages.get(page)
        if leaves is None:
            leaves = self._leaf_pages[page] = self._read_page(page)
        return leaves[slot * merkle.HASH : (slot + 1) * merkle.HASH]

    def _read_page(self, page: int) -> bytes:
        first = page * merkle.LEAVES_PER_PAGE
        count = min(merkle.LEAVES_PER_PAGE, self._leaf_map.count - first)
        offset = self.image.footer.hash_offset + (self._leaf_map.pages + first) * merkle.HASH
        leaves = read_exactly(self._fd, count * merkle.HASH, offset)
        expected = self._pages[page * merkle.HASH : (page + 1) * merkle.HASH]
        if not hmac.compare_digest(merkle.page_hash(page, leaves), expected):
            raise HashAreaBrokenError("the hash list does not lead to the root in the token")
        return leaves
