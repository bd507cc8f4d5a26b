# SPDX-License-Identifier: Apache-2.0
"""Runs a target on altered inputs; those that reach new lines are altered further."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from types import FrameType
from typing import Any

from e2efuzz.mutation import mutate
from e2efuzz.targets import Target
from e2etrust_core.errors import E2ETrustError

#: Inputs that are altered further, at most.
_MOST_KEPT = 2000
#: Seconds of processor time that no single input may take.
TOO_LONG = 10.0


@dataclass(frozen=True)
class Finding:
    """An input that is refused by no error of ours, or takes too long."""

    data: bytes
    told: str


@dataclass
class Outcome:
    runs: int = 0
    kept: int = 0
    lines: int = 0
    slowest: float = 0.0
    findings: list[Finding] = field(default_factory=list)


class _Lines:
    """Lines of our packages that were reached, and whether the last run reached new ones."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, int]] = set()
        self.new = False

    def trace(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if "/e2etrust_" not in frame.f_code.co_filename:
            return None
        if event == "line":
            place = (frame.f_code.co_filename, frame.f_lineno)
            if place not in self.seen:
                self.seen.add(place)
                self.new = True
        return self.trace


def fuzz(
    target: Target,
    going_on: Callable[[Outcome], bool],
    random: Random,
    seeds: list[bytes] | None = None,
) -> Outcome:
    """Run *target* as long as *going_on* says so; seeds first, as they are."""
    lines, outcome = _Lines(), Outcome()
    kept = [*target.seeds, *(seeds or [])]
    waiting = list(kept)
    while going_on(outcome):
        data = waiting.pop() if waiting else mutate(random, random.choice(kept), kept)
        finding = _one(target, data, lines, outcome)
        if finding is not None:
            outcome.findings.append(finding)
        if lines.new and len(kept) < _MOST_KEPT:
            kept.append(data)
        lines.new = False
    outcome.kept, outcome.lines = len(kept), len(lines.seen)
    return outcome


def _one(target: Target, data: bytes, lines: _Lines, outcome: Outcome) -> Finding | None:
    began = time.process_time()
    before = sys.gettrace()
    sys.settrace(lines.trace)
    told = None
    try:
        target.run(data)
    except E2ETrustError:
        pass
    except Exception:
        told = traceback.format_exc()
    finally:
        sys.settrace(before)
    took = time.process_time() - began
    outcome.runs += 1
    outcome.slowest = max(outcome.slowest, took)
    if told is None and took > TOO_LONG:
        told = f"took {took:.1f} s of processor time"
    return Finding(data, told) if told is not None else None
