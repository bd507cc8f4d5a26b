# SPDX-License-Identifier: Apache-2.0
"""Progress of a long step, one line that is written over on a terminal."""

from __future__ import annotations

import time
from typing import TextIO

_INTERVAL = 0.1


class ProgressLine:
    """Callable as a Progress; silent where the stream is no terminal, but for each stage's end."""

    def __init__(self, stream: TextIO, *, shown: bool = True) -> None:
        self._stream = stream
        self._shown = shown
        self._terminal = stream.isatty()
        self._stage = ""
        self._last = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        if not self._shown:
            return
        now = time.monotonic()
        finished = done >= total
        if not finished and (not self._terminal or now - self._last < _INTERVAL):
            return
        if finished and stage == self._stage:
            return
        self._last = now
        percent = 100 * done // total if total else 100
        text = f"{stage}: {done / 1e6:.1f} of {total / 1e6:.1f} MB ({percent} %)"
        if self._terminal:
            text = "\r\x1b[K" + text
        self._stream.write(text + ("\n" if finished else ""))
        self._stream.flush()
        # A stage that has ended may not end again.
        self._stage = stage if finished else ""

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind and self._shown and self._terminal:
            self._stream.write("\n")
