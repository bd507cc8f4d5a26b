# SPDX-License-Identifier: Apache-2.0
"""Calls that wait for a thread: who goes first, who goes together, who is told to come again.

A worker that has too much to do says so before it works: a refusal costs far less than an
attestation.  Only what begins something is refused.  A host that was given a challenge, and a
launch, which a tenant waits for, go on.

Calls of one kind that wait at the same time are served together, and the next ones of that kind
wait until that is done: the busier a worker, the more go together, and one that is alone waits for
nobody.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

#: So many are served together.
MOST = 64
#: The kind of calls that are refused.  They go by turns with answers: whoever asks again at once
#: must not keep those from being served.
REFUSED = "refused"


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
    request = arguments.get("request") if isinstance(arguments, dict) else None
    said = request if isinstance(request, dict) else {}
    if method in _ANSWER:
        return Urgency.ROUTINE if said.get("given") is True else Urgency.ANSWER
    if method == "challenge" and said.get("purpose") == "launch":
        return Urgency.LAUNCH
    return Urgency.ROUTINE


@dataclass(frozen=True, slots=True)
class Waiting:
    """``call`` came in at ``since``; its caller listens until ``until``.  Monotonic seconds.

    ``retry_after`` is set where it is refused: the seconds after which to come again.
    """

    call: Any
    number: int
    since: float
    until: float
    retry_after: float | None = None


@dataclass(slots=True)
class _Lane:
    """Calls of one kind and urgency.  With a ``kind`` they go together, one group at a time."""

    urgency: Urgency
    kind: str | None
    waiting: deque[Waiting] = field(default_factory=deque)
    busy: bool = False

    def turns(self) -> int:
        if self.kind is None:
            return len(self.waiting)
        return int(bool(self.waiting) and not self.busy)

    def take(self) -> list[Waiting]:
        many = 1 if self.kind is None else min(MOST, len(self.waiting))
        return [self.waiting.popleft() for _ in range(many)]


@dataclass(frozen=True, slots=True)
class Turn:
    """Who goes now: ``calls`` of one ``kind``, None for a call that goes alone."""

    kind: str | None
    calls: list[Waiting]
    lane: _Lane


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
        self._lanes: dict[tuple[Urgency, str | None], _Lane] = {}
        self._numbers = itertools.count()

    def add(
        self, call: Any, urgency: Urgency, give_up_after: float | None, kind: str | None = None
    ) -> None:
        """Let *call* wait, or be told to come again.

        :param give_up_after: seconds that its caller waits for the answer; None: nobody knows.
        :param kind: calls of one kind and urgency are served together; None: it goes alone.
        """
        with self._lock:
            now = self._clock()
            until = now + give_up_after if give_up_after is not None else float("inf")
            retry_after = self._retry_after(urgency, now)
            if retry_after is not None:
                urgency, kind = Urgency.ANSWER, REFUSED
            lane = self._lanes.setdefault((urgency, kind), _Lane(urgency, kind))
            lane.waiting.append(Waiting(call, next(self._numbers), now, until, retry_after))

    def take(self) -> Turn | None:
        """Return who goes next, without those whose callers have given up; None: nobody can now.

        Whoever took a turn ends it by :meth:`done`.
        """
        with self._lock:
            free = [lane for lane in self._lanes.values() if lane.turns()]
            if not free:
                return None
            lane = min(free, key=lambda lane: (lane.urgency, lane.waiting[0].number))
            lane.busy = lane.kind is not None
            now = self._clock()
            return Turn(lane.kind, [one for one in lane.take() if now < one.until], lane)

    def done(self, turn: Turn) -> None:
        with self._lock:
            turn.lane.busy = False

    def turns(self) -> int:
        """How many turns could be taken now."""
        with self._lock:
            return sum(lane.turns() for lane in self._lanes.values())

    def __len__(self) -> int:
        return sum(len(lane.waiting) for lane in self._lanes.values())

    def _retry_after(self, urgency: Urgency, now: float) -> float | None:
        routine = [
            lane.waiting[0].since
            for lane in self._lanes.values()
            if lane.urgency == Urgency.ROUTINE and lane.waiting
        ]
        oldest = now - min(routine) if routine else 0.0
        full = len(self) >= self._most
        slow = urgency == Urgency.ROUTINE and oldest > self._longest_wait
        return max(1.0, 2 * oldest) if full or slow else None
