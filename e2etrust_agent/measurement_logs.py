# SPDX-License-Identifier: Apache-2.0
"""What was measured on this host, as firmware, kernel and systemd keep it."""

from __future__ import annotations

import fcntl
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from e2etrust_agent.errors import (
    EventLogUnreadableError,
    ImaListUnreadableError,
    StateError,
    SystemdLogUnreadableError,
)
from e2etrust_core.evidence.model import MAX_EVENT_LOG, MAX_IMA_PART, MAX_LATER_LOG

LOG = logging.getLogger(__name__)

#: Seconds that systemd may take to extend a PCR and write its record.
_LOCK_PATIENCE = 2.0


@dataclass(frozen=True, slots=True)
class MeasurementLogs:
    """Where this host shows what was measured; None: it has no such log."""

    event_log: Path | None = None
    ima_list: Path | None = None
    systemd_log: Path | None = None

    def read_event_log(self) -> bytes | None:
        """:raises StateError: it cannot be read, or is too long."""
        return _whole(self.event_log, 0, MAX_EVENT_LOG, EventLogUnreadableError)

    def read_ima_list(self, offset: int) -> bytes | None:
        """Return the list from byte *offset* on.

        :raises StateError: it cannot be read, or the rest is too long to send.
        """
        return _whole(self.ima_list, offset, MAX_IMA_PART, ImaListUnreadableError)

    def read_systemd_log(self) -> bytes | None:
        """Return what systemd measured after the firmware; None: nothing, or too much to send.

        systemd holds the file's lock from before it extends a PCR until the record is written
        (systemd-pcrextend(8)), so under the lock all that was extended before has its record.

        :raises StateError: it cannot be read.
        """
        if self.systemd_log is None or not self.systemd_log.exists():
            return None
        try:
            with self.systemd_log.open("rb") as stream:
                _lock_shared(stream)
                found = stream.read(MAX_LATER_LOG + 1)
        except OSError as exc:
            raise _unreadable(self.systemd_log, SystemdLogUnreadableError, exc) from exc
        if len(found) > MAX_LATER_LOG:
            # Most of it may be of NV indexes (logins), which no PCR shows: no reason to stop.
            LOG.warning("%s is longer than %d bytes: not sent", self.systemd_log, MAX_LATER_LOG)
            return None
        return found


def _lock_shared(stream: BinaryIO) -> None:
    """Wait for the lock, though not for ever: without it a record may be missing, and is missed."""
    attempts = Retrying(
        retry=retry_if_exception_type(BlockingIOError),
        stop=stop_after_delay(_LOCK_PATIENCE),
        wait=wait_fixed(0.02),
        retry_error_callback=lambda _: None,
    )
    attempts(fcntl.flock, stream, fcntl.LOCK_SH | fcntl.LOCK_NB)


def _whole(path: Path | None, offset: int, limit: int, fault: type[StateError]) -> bytes | None:
    if path is None:
        return None
    try:
        with path.open("rb") as stream:
            stream.seek(offset)
            found = stream.read(limit + 1)
    except OSError as exc:
        raise _unreadable(path, fault, exc) from exc
    if len(found) > limit:
        raise fault(f"{path} is longer than {limit} bytes")
    return found


def _unreadable(path: Path, fault: type[StateError], exc: OSError) -> StateError:
    return fault(f"{path} cannot be read: {exc.strerror}")
