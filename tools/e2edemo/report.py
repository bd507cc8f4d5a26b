# SPDX-License-Identifier: Apache-2.0
"""Say what happens while it happens, and sum it up."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable

from e2edemo.chapter import Chapter, Outcome

_COLOURS = {"PASS": "32", "REFUSED": "36", "FAILED": "31"}


class Teller:
    """Prints lines with the seconds since the start; colours only on a terminal."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._colour = sys.stdout.isatty()

    def line(self, text: str) -> None:
        print(f"[{time.monotonic() - self._started:6.1f} s] {text}", flush=True)

    def chapter(self, chapter: Chapter) -> None:
        self.line(f"{chapter.number}. {chapter.title}")

    def value(self, name: str, value: object) -> None:
        self.line(f"     {name}: {value}")

    def outcome(self, outcome: Outcome) -> None:
        if "failure" in outcome.evidence:
            self.line(f"     {outcome.evidence['failure']}")
        if "trace" in outcome.evidence:
            print(outcome.evidence["trace"], file=sys.stderr, flush=True)
        self.line(f"  => {self.word(outcome.came)} ({outcome.seconds:.1f} s)")

    def word(self, came: str) -> str:
        return f"\033[1;{_COLOURS[came]}m{came}\033[0m" if self._colour else came

    def table(self, outcomes: Iterable[Outcome]) -> None:
        print(f"\n{'':>3} {'expected':<9}{'came':<9}{'seconds':>8}  what was proved")
        for o in outcomes:
            mark = " " if o.as_told else "!"
            print(f"{mark}{o.number:>2} {o.expected:<9}{o.came:<9}{o.seconds:>8.1f}  {o.title}")
        sys.stdout.flush()
