# SPDX-License-Identifier: Apache-2.0
"""The launches that this host was granted, and the QEMU process that each became.

A launch belongs to one process: its id and start time.  A domain that is stopped and started
again behind the hook's back is another process, and inherits nothing.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from e2etrust_agent.client.private_files import private_directory, read_private, write_private
from e2etrust_agent.domains import QemuDomain, process_start_ticks
from e2etrust_agent.errors import RequestError
from e2etrust_core import wire
from e2etrust_core.evidence.model import PcrSelection, RunningDomain

_TICK = 1.0 / os.sysconf("SC_CLK_TCK")
_LIMIT = 16 * 1024 * 1024
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Launch:
    """``granted_at`` in seconds since boot; ``pid`` is None until the domain was seen to run.

    ``selection`` is what the launch's quote covered: a later quote is compared with it.  ``boot``
    is the host's boot (random(4), boot_id) that all of this is of; empty in a book of a release
    that did not write it down.
    """

    id: str
    instance: str
    granted_at: float
    pid: int | None = None
    start_ticks: int | None = None
    selection: PcrSelection = field(default_factory=dict)
    boot: str = ""


@dataclass(frozen=True, slots=True)
class _Book:
    launches: list[Launch]


class LaunchBook:
    """The launches in force; on disk at *path*, so that an agent's restart forgets none."""

    def __init__(self, path: Path, grace: float, boot: str | None = None) -> None:
        """Read the book.

        :param grace: seconds that a granted launch may take until its domain runs.
        :param boot: which boot of the host this is; None: as the kernel says.
        :raises StateError, InputError: the file is there and cannot be read.
        """
        self._path = path
        self._grace = grace
        self._boot = _BOOT_ID.read_text().strip() if boot is None else boot
        self._lock = threading.Lock()
        private_directory(path.parent)
        try:
            book = wire.from_json(_Book, read_private(path, _LIMIT)).launches
        except FileNotFoundError:
            book = []
        self._launches = {launch.id: launch for launch in book}

    def __len__(self) -> int:
        return len(self._launches)

    def granted(
        self, launch: str, instance: str, selection: PcrSelection | None = None
    ) -> list[Launch]:
        """Record a granted launch; return those of the same instance that it replaces."""
        with self._lock:
            old = [e for e in self._launches.values() if e.instance == instance]
            for entry in old:
                del self._launches[entry.id]
            self._launches[launch] = Launch(
                launch, instance, _since_boot(), selection=selection or {}, boot=self._boot
            )
            self._save()
            return old

    def started(self, launch: str, domain: QemuDomain) -> None:
        """Bind a granted launch to the process that runs it.

        :raises RequestError: no such launch of that instance waits for its domain, or the
            process is older than the launch.
        """
        with self._lock:
            entry = self._launches.get(launch)
            if entry is None or entry.instance != domain.instance or not self._fits(entry, domain):
                raise RequestError("no granted launch fits the running domain", code="NO_LAUNCH")
            self._launches[launch] = replace(entry, pid=domain.pid, start_ticks=domain.start_ticks)
            self._save()

    def ended(self, launch: str) -> bool:
        """Forget a launch; say whether it was known."""
        with self._lock:
            known = self._launches.pop(launch, None) is not None
            if known:
                self._save()
            return known

    def evidence(self, domains: list[QemuDomain]) -> list[RunningDomain]:
        """Return *domains* as evidence, each with the launch that its process was started by."""
        return [
            RunningDomain(d.instance, d.name, d.demands_trust, self.launch_of(d)) for d in domains
        ]

    def launch_of(self, domain: QemuDomain) -> str | None:
        """Return the launch of a running process, or None."""
        with self._lock:
            entries = [e for e in self._launches.values() if e.instance == domain.instance]
        return next((e.id for e in entries if self._fits(e, domain)), None)

    def selection_of(self, launch: str) -> PcrSelection:
        """Return the PCRs that a launch's quote covered; empty where that is not known."""
        with self._lock:
            entry = self._launches.get(launch)
        return entry.selection if entry is not None else {}

    def sweep(self) -> list[Launch]:
        """Forget launches whose process is gone, or whose time to start is over; return them."""
        with self._lock:
            gone = [e for e in self._launches.values() if self._is_over(e)]
            for entry in gone:
                del self._launches[entry.id]
            if gone:
                self._save()
            return gone

    def _fits(self, entry: Launch, domain: QemuDomain) -> bool:
        if not self._is_of_this_boot(entry):
            return False
        if entry.pid is not None:
            return (entry.pid, entry.start_ticks) == (domain.pid, domain.start_ticks)
        # Granted, and `started` not heard of yet: only a process that came after the grant.
        started_at = (domain.start_ticks + 1) * _TICK
        return started_at >= entry.granted_at and self._is_fresh(entry)

    def _is_fresh(self, entry: Launch) -> bool:
        return 0 <= _since_boot() - entry.granted_at <= self._grace

    def _is_of_this_boot(self, entry: Launch) -> bool:
        # No process outlives a boot, and its id, times and seconds since boot come again.
        return entry.boot in ("", self._boot)

    def _is_over(self, entry: Launch) -> bool:
        if not self._is_of_this_boot(entry):
            return True
        if entry.pid is None:
            return not self._is_fresh(entry)
        return process_start_ticks(entry.pid) != entry.start_ticks

    def _save(self) -> None:
        write_private(self._path, wire.to_json(_Book(list(self._launches.values()))))


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
