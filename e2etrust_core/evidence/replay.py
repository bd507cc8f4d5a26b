# SPDX-License-Identifier: Apache-2.0
"""The PCR values that an event log comes to.

Where PCRs start: TCG PC Client Platform TPM Profile (PTP) 1.05, 4.7 (PCR initial and reset
values): PCR 0 at the locality of TPM2_Startup, PCR 17 to 22 at all ones, until a dynamic launch
sets them to zero.  Event types and data are not hashed here: digests are extended.
"""

from __future__ import annotations

from e2etrust_core.crypto import digest_of
from e2etrust_core.evidence.errors import EventLogBankAbsent
from e2etrust_core.evidence.event_log import INFORMATIVE, EventLog
from e2etrust_core.suites import HASHES

#: PCRs a platform reset sets to zero and that only firmware and system extend.
_STATIC_PCRS = range(16)
#: PCRs that a dynamic launch (TXT, SKINIT) sets to zero.
DYNAMIC_PCRS = range(17, 23)
#: PCRs that software may reset as it likes, without a boot (PTP 1.05, 4.7: debug, application).
RESETTABLE_PCRS = frozenset({16, 23})
#: The one that every dynamic launch extends (TPM 2.0 Library Part 1, 17.9: D-RTM PCR).
_DRTM_PCR = 17


def replay(log: EventLog, bank: str, seed_pcr0: bytes | None = None) -> dict[int, bytes]:
    """Return PCR index -> the value that *log* comes to in *bank*.

    PCRs 0 to 15 are always there (zeros where the log has nothing), and 17 to 22 (all ones in a
    log without a dynamic launch); others where the log extends them.  An event without a digest
    of *bank* extends nothing in it.

    :param seed_pcr0: the value PCR 0 has before the first event, where it is known from outside
        the log (an H-CRTM measurement the firmware does not log); it overrides what the log
        says of the start-up locality.
    :raises EventLogBankAbsent: the log has no digests of that bank.
    """
    if bank not in log.banks:
        raise EventLogBankAbsent(f"the event log has no digests of bank {bank}")
    name, size = HASHES[bank].hashlib_name, HASHES[bank].size
    pcrs = _starting_values(log, size)
    if seed_pcr0 is not None:
        pcrs[0] = seed_pcr0
    for event in log.events:
        if event.kind not in INFORMATIVE and bank in event.digests:
            before = pcrs.get(event.pcr, bytes(size))
            pcrs[event.pcr] = digest_of(name, before + event.digests[bank])
    return pcrs


def _starting_values(log: EventLog, size: int) -> dict[int, bytes]:
    pcrs = {index: bytes(size) for index in _STATIC_PCRS}
    pcrs[0] = bytes([*bytes(size - 1), log.startup_locality])
    launched = any(e.pcr == _DRTM_PCR and e.kind not in INFORMATIVE for e in log.events)
    dynamic = bytes(size) if launched else b"\xff" * size
    return pcrs | dict.fromkeys(DYNAMIC_PCRS, dynamic)
