# SPDX-License-Identifier: Apache-2.0
"""A chapter of the story: what it claims, what is expected to come, what came."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from e2etrust_core.errors import E2ETrustError

if TYPE_CHECKING:
    from e2edemo.stage import Stage

Came = Literal["PASS", "REFUSED", "FAILED"]
Evidence = dict[str, Any]


class ClaimFailed(Exception):
    """Something that the story claims was not so."""


@dataclass(frozen=True)
class Chapter:
    """``tell`` does it and returns the evidence; it raises :class:`ClaimFailed` where the claim
    does not hold.  ``expected`` is REFUSED where the chapter's point is a refusal."""

    number: int
    title: str
    expected: Literal["PASS", "REFUSED"]
    tell: Callable[[Stage], Evidence]


@dataclass(frozen=True)
class Outcome:
    number: int
    title: str
    expected: str
    came: Came
    seconds: float
    evidence: Evidence = field(default_factory=dict)

    @property
    def as_told(self) -> bool:
        return self.came == self.expected

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def claim(holds: object, otherwise: str) -> None:
    """Go on only if *holds*.

    :raises ClaimFailed: with the words in *otherwise*.
    """
    if not holds:
        raise ClaimFailed(otherwise)


def run(chapter: Chapter, stage: Stage) -> Outcome:
    """Tell one chapter.  A failure is an outcome too, with its reason in the evidence."""
    started = time.monotonic()
    came: Came = chapter.expected
    try:
        evidence = chapter.tell(stage)
    except (ClaimFailed, E2ETrustError) as exc:
        came, evidence = "FAILED", {"failure": str(exc)}
    except Exception as exc:
        came = "FAILED"
        evidence = {"failure": f"{type(exc).__name__}: {exc}", "trace": traceback.format_exc()}
    seconds = round(time.monotonic() - started, 1)
    return Outcome(chapter.number, chapter.title, chapter.expected, came, seconds, evidence)
