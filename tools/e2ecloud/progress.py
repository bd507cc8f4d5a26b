# SPDX-License-Identifier: Apache-2.0
"""One line a step, with the seconds since the start."""

from __future__ import annotations

import sys
import threading
import time


class Progress:
    """Prints to standard error, from any thread, and also without a terminal."""

    def __init__(self, quiet: bool = False) -> None:
        self._start = time.monotonic()
        self._lock = threading.Lock()
        self._quiet = quiet

    def done(self, what: str) -> None:
        if not self._quiet:
            with self._lock:
                seconds = time.monotonic() - self._start
                print(f"{seconds:6.1f} s  {what}", file=sys.stderr, flush=True)
