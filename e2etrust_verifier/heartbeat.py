# SPDX-License-Identifier: Apache-2.0
"""A worker says that it is there, so that one that is gone is missed."""

from __future__ import annotations

import logging
import socket
import threading
import uuid
from collections.abc import Callable
from datetime import datetime

from e2etrust_verifier.db import workers
from e2etrust_verifier.db.database import Database

LOG = logging.getLogger(__name__)


class Heartbeat:
    """A thread of one worker.  It beats on its own: a busy sweep does not make it look dead."""

    def __init__(
        self,
        database: Database,
        now: Callable[[], datetime],
        policies: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._database = database
        self._now = now
        self._policies = policies
        self._machine = socket.gethostname()[:255]
        self._worker = uuid.uuid4().hex
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End, and say so."""
        self._stopping.set()
        self._thread.join(timeout=10)
        self._say(lambda: self._database.write(lambda s: workers.gone(s, self._worker)))

    def beat(self) -> None:
        said = self._machine, self._now(), self._policies()
        self._database.write(lambda s: workers.seen(s, self._worker, *said))

    def _run(self) -> None:
        self._say(self.beat)
        while not self._stopping.wait(workers.EVERY):
            self._say(self.beat)

    def _say(self, what: Callable[[], None]) -> None:
        try:
            what()
        except Exception as exc:
            LOG.warning("heartbeat: %s: %s", type(exc).__name__, exc)
