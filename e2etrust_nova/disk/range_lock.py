# SPDX-License-Identifier: Apache-2.0
"""Keeps writers of the same sectors apart, and readers out while one writes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class RangeLock:
    """Shared and exclusive locks on spans of sectors.

    A write that covers part of a sector reads, changes and writes the whole of it; another write
    in between would be undone.  A reader that saw half of a sector's first ciphertext and half of
    the hole it fills would decrypt the hole.  Few spans are held at a time, so a list serves.
    """

    def __init__(self) -> None:
        self._held: list[tuple[int, int, bool]] = []
        self._waiting = 0
        self._changed = threading.Condition(threading.Lock())

    @contextmanager
    def hold(self, first: int, end: int, *, shared: bool = False) -> Iterator[None]:
        """Hold sectors `first` up to, not including, `end`; waits while that conflicts."""
        span = (first, end, shared)
        with self._changed:
            while self._conflicts(span):
                self._waiting += 1
                self._changed.wait()
                self._waiting -= 1
            self._held.append(span)
        try:
            yield
        finally:
            with self._changed:
                self._held.remove(span)
                if self._waiting:
                    self._changed.notify_all()

    def _conflicts(self, span: tuple[int, int, bool]) -> bool:
        first, end, shared = span
        return any(a < end and first < b and not (shared and s) for a, b, s in self._held)
