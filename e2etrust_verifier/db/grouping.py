# SPDX-License-Identifier: Apache-2.0
"""What threads ask for at the same time is done in one go, by whichever of them is first.

The busier a worker, the more goes together; one that is alone waits for nobody.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

#: So many in one go.
MOST = 64


class Lost(Exception):
    """The thread that acted for others was ended; whether anything was done is unknown."""


@dataclass(frozen=True, slots=True)
class Waiting(Generic[T, R]):
    """What was asked, and what came of it."""

    asked: T
    outcome: Future[R] = field(default_factory=Future)


class Grouping(Generic[T, R]):
    """Threads share it.

    :param serve: tells each of the given ones what came of it; never raises.
    :param key: what may be in one go only once; None: anything may.
    """

    def __init__(
        self,
        serve: Callable[[list[Waiting[T, R]]], None],
        key: Callable[[T], object] | None = None,
    ) -> None:
        self._serve, self._key = serve, key
        self._line: deque[Waiting[T, R]] = deque()
        self._line_lock = threading.Lock()
        self._turn = threading.Lock()

    def run(self, asked: T) -> R:
        """Return what came of *asked*.

        :raises Exception: whatever it failed with.
        """
        mine: Waiting[T, R] = Waiting(asked)
        with self._line_lock:
            self._line.append(mine)
        with self._turn:
            while not mine.outcome.done():
                self._serve_next()
        return mine.outcome.result()

    def __len__(self) -> int:
        """How many wait for a turn."""
        return len(self._line)

    def _serve_next(self) -> None:
        group = self._next()
        try:
            self._serve(group)
        finally:
            for member in group:
                if not member.outcome.done():
                    member.outcome.set_exception(Lost("the database's transaction was cut short"))

    def _next(self) -> list[Waiting[T, R]]:
        """Take the first of the line, up to one whose key was taken already."""
        taken: dict[object, Waiting[T, R]] = {}
        with self._line_lock:
            while self._line and len(taken) < MOST:
                first = self._line[0]
                key = self._key(first.asked) if self._key is not None else id(first)
                if key in taken:
                    break
                taken[key] = self._line.popleft()
        return list(taken.values())
