# SPDX-License-Identifier: Apache-2.0
"""The event log in words, an event a line: for whoever writes a policy or looks for a change."""

from __future__ import annotations

from dataclasses import dataclass

from e2etrust_core.evidence.event_log import EventLog
from e2etrust_core.evidence.events.description import describe
from e2etrust_core.evidence.later_log import joined

_USUAL_BANK = "sha256"
#: What the words of an event may be relied on for.
_MARKS = {"event": "=", "text": "=", "structure": "=", "variable": "~", "nothing": "?", None: " "}


@dataclass(frozen=True, slots=True)
class ToldEvent:
    """``covered``: event, structure or text (all of the words), variable (contents, not the name),
    nothing (they are the log's story), or None (not in ``bank``); ``digest`` in hex."""

    number: int
    pcr: int
    type: str
    bank: str
    digest: str
    covered: str | None
    words: str


def told_events(log: EventLog | None, later: EventLog | None = None) -> list[ToldEvent]:
    """Return the events of *log* in their order, and those of *later* behind them; Spec ID events
    are none of them."""
    if log is None:
        return []
    if later is not None:
        log = joined(log, later, len(later.events))
    if not log.banks:
        return []
    bank = _USUAL_BANK if _USUAL_BANK in log.banks else log.banks[0]
    found = []
    for number, event in enumerate(log.events, 1):
        told = describe(event, bank)
        digest = event.digests.get(bank, b"").hex()
        found.append(
            ToldEvent(number, event.pcr, told.kind, bank, digest, told.covered, told.words)
        )
    return found


def as_line(event: ToldEvent) -> str:
    """``=``: the digest is of the words; ``~``: of a variable's contents; ``?``: of neither."""
    mark = _MARKS[event.covered]
    return f"event {event.number:4}  PCR {event.pcr:2}  {event.type:34} {mark} {event.words}"
