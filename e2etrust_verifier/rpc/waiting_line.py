# SPDX-License-Identifier: Apache-2.0
"""Calls that wait for a thread: who goes first, who is told to come again, who has given up.

A worker that has too much to do says so before it works: a refusal costs far less than an
attestation.  Only what begins something is refused.  A host that was given a challenge, and a
launch, which a tenant waits for, go on.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any


class Urgency(IntEnum):
    """The lower goes first."""

    LAUNCH = 0
    ANSWER = 1
    ROUTINE = 2


_LAUNCH = frozenset({"launch", "lease_delta"})
_ANSWER = frozenset({"attest", "enrol_finish"})


def urgency_of(message: dict[str, Any]) -> Urgency:
    """Say how urgent an RPC message is; it comes from the bus and may be anything."""
    method, arguments = message.get("method"), message.get("args")
    if not isinstance(method, str):
        # oslo.messaging refuses it, by its turn.
        return Urgency.ROUTINE
    if method in _LAUNCH:
        return Urgency.LAUNCH
    if method in _ANSWER:
        return Urgency.ANSWER
    request = arguments.get("request") if isinstance(arguments, dict) else None
    if method == "challenge" and isinstance(request, dict) and request.get("purpose") == "launch":
        return Urgency.LAUNCH
    return Urgency.ROUTINE


@dataclass(frozen=True, slots=True)
class Waiting:
    """``call`` came in at ``since``; its caller listens until ``until``.  Monotonic seconds.

    ``retry_after`` is set where it is refused: the seconds after which to come again.
    """

    call: Any
    since: float
    until: float
    retry_after: float | None = None


class WaitingLine:
    """Threads may share it.

    :param longest_wait: once a routine call waits so many seconds, more of them are refused.
    :param most: calls that may wait, of whatever kind; beyond, all are refused.
    """

    def __init__(
        self, longest_wait: float, most: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._longest_wait, self._most, self._clock = longest_wait, most, clock
        self._lock = threading.Lock()
        self._heap: list[tuple[int, int, Waiting]] = []
        self._routine: deque[tuple[int, float]] = deque()
        self._numbers = itertools.count()

    def add(self, call: Any, urgency: Urgency, give_up_after: float | None) -> None:
        """Let *call* wait, or be told to come again.

        :param give_up_after: seconds that its caller waits for the answer; None: nobody knows.
        """
        with self._lock:
            now = self._clock()
            until = now + give_up_after if give_up_after is not None else float("inf")
            retry_after = self._retry_after(urgency, now)
            waiting, number = Waiting(call, now, until, retry_after), next(self._numbers)
            # A refusal is quickly told, and goes before all that takes work.
            first = -1 if retry_after is not None else urgency
            if first == Urgency.ROUTINE:
                self._routine.append((number, now))
            heapq.heappush(self._heap, (first, number, waiting))

    def take(self) -> Waiting | None:
        """Return who goes next; None where that one's caller has given up."""
        with self._lock:
            _first, number, waiting = heapq.heappop(self._heap)
            # Of routine calls the first to come is the first to go.
            if self._routine and self._routine[0][0] == number:
                self._routine.popleft()
            return waiting if self._clock() < waiting.until else None

    def __len__(self) -> int:
        return len(self._heap)

    def _retry_after(self, urgency: Urgency, now: float) -> float | None:
        oldest = now - self._routine[0][1] if self._routine else 0.0
        full = len(self._heap) >= self._most
        slow = urgency == Urgency.ROUTINE and oldest > self._longest_wait
        return max(1.0, 2 * oldest) if full or slow else None
