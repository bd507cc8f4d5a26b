# SPDX-License-Identifier: Apache-2.0
"""A log of what was measured after the firmware, on top of the firmware's."""

from __future__ import annotations

import hmac

from e2etrust_core.crypto import digest_of
from e2etrust_core.evidence.canonical_log import parse_canonical_log
from e2etrust_core.evidence.errors import EventLogError, LaterLogError
from e2etrust_core.evidence.event_log import INFORMATIVE, EventLog, parse_event_log
from e2etrust_core.evidence.model import MAX_LATER_LOG, PcrValues
from e2etrust_core.evidence.replay import replay
from e2etrust_core.suites import HASHES


def measured_log(event_log: bytes, later_log: bytes | None, quoted: PcrValues) -> EventLog:
    """Return the firmware's log with as much of the later one behind it as was quoted.

    :param later_log: at most :data:`.model.MAX_LATER_LOG` bytes; None where there is none.
    :param quoted: of the PCRs that a replay has to come to.
    :raises EventLogError: the firmware's log cannot be read.
    :raises LaterLogError: the later one cannot.
    """
    firmware = parse_event_log(event_log)
    if later_log is None:
        return firmware
    if len(later_log) > MAX_LATER_LOG:
        raise LaterLogError(f"{len(later_log)} bytes, at most {MAX_LATER_LOG} are read")
    try:
        later = parse_canonical_log(later_log)
    except EventLogError as exc:
        raise LaterLogError(exc.reason) from exc
    return joined_as_quoted(firmware, later, quoted, {})[0]


def joined_as_quoted(
    firmware: EventLog, later: EventLog, quoted: PcrValues, seed_pcr0: dict[str, bytes]
) -> tuple[EventLog, int]:
    """Return *firmware* with as many events of *later* behind it as were quoted, and how many.

    Where no number of them leads there it is all: which PCRs differ is then seen by replay.
    """
    counted = events_quoted(firmware, later, quoted, seed_pcr0)
    counted = len(later.events) if counted is None else counted
    return joined(firmware, later, counted), counted


def joined(firmware: EventLog, later: EventLog, count: int) -> EventLog:
    """Return *firmware* with the first *count* events of *later* behind it."""
    return EventLog(
        firmware.banks, (*firmware.events, *later.events[:count]), firmware.startup_locality
    )


def events_quoted(
    firmware: EventLog, later: EventLog, quoted: PcrValues, seed_pcr0: dict[str, bytes]
) -> int | None:
    """Return how many events of *later* lead from *firmware* to the quoted values.

    Such a log grows while the system runs, so it may have grown after the quote: the longest
    beginning counts at which every quoted PCR that *later* extends has its quoted value.

    :param seed_pcr0: by bank, as for :func:`.replay.replay`.
    :return: None where none does; all of them where *later* extends no quoted PCR.
    """
    extended = {event.pcr for event in later.events if event.kind not in INFORMATIVE}
    now: dict[tuple[str, int], bytes] = {}
    wanted: dict[tuple[str, int], bytes] = {}
    for bank in quoted.keys() & set(firmware.banks):
        values = replay(firmware, bank, seed_pcr0.get(bank))
        for index in extended & quoted[bank].keys():
            now[bank, index] = values.get(index, bytes(HASHES[bank].size))
            wanted[bank, index] = quoted[bank][index]
    wrong = {at for at, value in wanted.items() if not hmac.compare_digest(value, now[at])}
    longest = None if wrong else 0
    for count, event in enumerate(later.events, 1):
        for bank, digest in event.digests.items() if event.kind not in INFORMATIVE else ():
            at = (bank, event.pcr)
            if at in wanted:
                now[at] = digest_of(HASHES[bank].hashlib_name, now[at] + digest)
                reached = hmac.compare_digest(wanted[at], now[at])
                (wrong.discard if reached else wrong.add)(at)
        longest = longest if wrong else count
    return longest
