# SPDX-License-Identifier: Apache-2.0
"""Signatures first; the implementation follows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """``digests``: bank name -> digest; banks unknown to us are left out."""

    pcr: int
    kind: int
    digests: dict[str, bytes]
    data: bytes


@dataclass(frozen=True, slots=True)
class EventLog:
    banks: tuple[str, ...]
    events: tuple[Event, ...]
    startup_locality: int


def parse_event_log(data: bytes) -> EventLog:
    """:raises EventLogError: not a TCG event log."""
    raise NotImplementedError


def replay(log: EventLog, bank: str, seed_pcr0: bytes | None = None) -> dict[int, bytes]:
    """Return PCR index -> value for the PCRs 0-23 that the log touches, and PCR 0."""
    raise NotImplementedError
