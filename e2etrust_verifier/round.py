# SPDX-License-Identifier: Apache-2.0
"""What a worker does besides answering: again and again, each in a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from oslo_db import exception as db_exc

from e2etrust_core.errors import E2ETrustError

LOG = logging.getLogger(__name__)


class Round:
    """A thread that does *once* again and again, every *interval* seconds or while there is more.

    What fails is logged and tried again: the database may be away.
    """

    def __init__(self, name: str, once: Callable[[], bool], interval: float) -> None:
        self._once = once
        self._interval = interval
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Begin nothing more.  Returns at once."""
        self._stopping.set()

    def stop(self, timeout: float = 5.0) -> None:
        """End; what takes longer is left to another worker."""
        self._stopping.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        more = False
        while not (self._stopping.is_set() if more else self._stopping.wait(self._interval)):
            try:
                more = self._once()
            except Exception as exc:
                # Of what nobody foresaw the log has to say where.
                trace = not isinstance(exc, db_exc.DBError | E2ETrustError)
                told = self._thread.name, type(exc).__name__, exc
                LOG.warning("%s: %s: %s", *told, exc_info=trace)
                more = False
