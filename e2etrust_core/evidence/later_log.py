# SPDX-License-Identifier: Apache-2.0
"""A log of what was measured after the firmware, on top of the firmware's."""

from __future__ import annotations

import hmac

from e2etrust_core.crypto import digest_of
from e2etrust_core.evidence.event_log import INFORMATIVE, EventLog
from e2etrust_core.evidence.model import PcrValues
from e2etrust_core.evidence.replay import replay
from e2etrust_core.suites import HASHES


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
