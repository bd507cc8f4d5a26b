# SPDX-License-Identifier: Apache-2.0
"""Wait for a state, for a bounded time, and say what was seen last."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from e2edemo.chapter import ClaimFailed

T = TypeVar("T")


def wait_for(
    what: str, probe: Callable[[], T | None], timeout: float = 120.0, pause: float = 0.5
) -> T:
    """Return the first truthy answer of *probe*.

    :raises ClaimFailed: none came within *timeout* seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise ClaimFailed(f"waited {timeout:.0f} s in vain for: {what}")
        time.sleep(pause)
