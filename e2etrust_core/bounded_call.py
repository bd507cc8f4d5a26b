# SPDX-License-Identifier: Apache-2.0
"""Calls that may hang whatever timeout they have themselves.

With its broker gone oslo.messaging waits without end for its first connection.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class BoundedCalls:
    """Each call has a thread of its own.  Threads may share it.

    :param seconds: that a call may take at the most.
    """

    def __init__(self, seconds: float, name: str) -> None:
        self._seconds = seconds
        self._name = name
        self._stuck: threading.Thread | None = None

    def run(self, call: Callable[[], T]) -> T:
        """Return what *call* does, or raise what it raises.

        :raises TimeoutError: it takes longer, or one that did hangs still: so no more than were
            under way when it began to hang ever do.
        """
        if self._stuck is not None and self._stuck.is_alive():
            raise TimeoutError("an earlier call hangs")
        results: list[T] = []
        errors: list[Exception] = []
        ended = threading.Event()

        def carry_out() -> None:
            try:
                results.append(call())
            except Exception as exc:
                errors.append(exc)
            finally:
                ended.set()

        thread = threading.Thread(target=carry_out, name=self._name, daemon=True)
        thread.start()
        if not ended.wait(self._seconds):
            self._stuck = thread
            raise TimeoutError(f"no end of it in {self._seconds:g} s")
        if errors:
            raise errors[0]
        return results[0]
