# SPDX-License-Identifier: Apache-2.0
"""TCG event logs: a bounded reader.

TCG PC Client Platform Firmware Profile 1.05, 10 (event log) and 10.4.5 (Spec ID event,
StartupLocality); SHA-1 logs as in the TCG PC Client Implementation for BIOS 1.21.  A log is only
a story until its replay (:mod:`.replay`) equals quoted PCR values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from e2etrust_core.evidence.errors import EventLogError
from e2etrust_core.evidence.little_endian import LittleEndianReader
from e2etrust_core.evidence.model import MAX_EVENT_LOG
from e2etrust_core.suites import HASH_BY_ID

EV_NO_ACTION = 0x00000003
EV_EFI_HCRTM_EVENT = 0x80000010
#: Says how a dynamic launch uses PCR 17 and 18, names no PCR and extends none (Intel TXT SDG,
#: appendix F).
EVTYPE_PCRMAPPING = 0x00000401
#: Types of events that no PCR was extended by.
INFORMATIVE = frozenset({EV_NO_ACTION, EVTYPE_PCRMAPPING})
MAX_EVENTS = 32768

_SPEC_ID_03 = b"Spec ID Event03\0"
_STARTUP_LOCALITY = b"StartupLocality\0"
_MAX_ALGORITHMS = 16
_MAX_DIGEST = 64
#: As many PCRs as a platform has.
PCRS = 24
_HCRTM_LOCALITY = 4


@dataclass(frozen=True, slots=True)
class Event:
    """``digests``: bank name -> digest; banks of hashes unknown here are left out."""

    pcr: int
    kind: int
    digests: dict[str, bytes]
    data: bytes


@dataclass(frozen=True, slots=True)
class EventLog:
    """``banks``: those that the log has digests of.

    ``startup_locality``: the locality of TPM2_Startup (0, 3), or 4 after an H-CRTM sequence.
    Spec ID events of a crypto-agile log are not among ``events``.
    """

    banks: tuple[str, ...]
    events: tuple[Event, ...]
    startup_locality: int


def parse_event_log(data: bytes) -> EventLog:
    """Decode a whole log: crypto-agile, or SHA-1 where no Spec ID Event03 stands in front.

    Sizes are checked against what is there before anything is taken or allocated.

    :param data: binary_bios_measurements, at most :data:`.model.MAX_EVENT_LOG` bytes.
    :raises EventLogError: empty, too long, cut off, or not a log.
    """
    if not data:
        raise EventLogError("the event log is empty")
    if len(data) > MAX_EVENT_LOG:
        raise EventLogError(f"event log of {len(data)} bytes, at most {MAX_EVENT_LOG} are read")
    cursor = LittleEndianReader(data, "event log", EventLogError)
    banks: dict[str, None] = {}
    events: list[Event] = []
    sizes: dict[int, int] | None = None
    end = _end(data)
    while cursor.at < end or cursor.at == 0:
        if len(events) >= MAX_EVENTS:
            raise EventLogError(f"event log of more than {MAX_EVENTS} events")
        if sizes is not None and not _is_spec_id(data, cursor.at):
            events.append(_agile_event(cursor, sizes))
            continue
        event = _sha1_event(cursor)
        if (sizes is not None or not events) and _is_spec_id_event(event):
            sizes, due = _spec_id_algorithms(event.data)
            cursor.take(due)
            banks |= {HASH_BY_ID[alg].name: None for alg in sizes if alg in HASH_BY_ID}
        else:
            events.append(event)
    return EventLog(
        tuple(banks) if sizes is not None else ("sha1",), tuple(events), startup_locality(events)
    )


def _end(data: bytes) -> int:
    """Where the last event can end at the latest.

    Zeros behind it are room that the firmware did not use, all ones that of a log area that the
    firmware hands over whole (CCEL, erased flash).  No event begins with such bytes alone: it
    has a number of digests, or a type; what is read at all begins before them.
    """
    return len(data.rstrip(b"\0\xff"))


def _is_spec_id(data: bytes, at: int) -> bool:
    """Does a further log begin here (that of a dynamic launch behind the firmware's)?

    Where an event of a crypto-agile log would have a number of digests, this one has zeros.
    """
    begins = EV_NO_ACTION.to_bytes(4, "little") + bytes(20)
    return data[at + 4 : at + 28] == begins and data.startswith(_SPEC_ID_03, at + 32)


def _is_spec_id_event(event: Event) -> bool:
    return event.kind == EV_NO_ACTION and event.data.startswith(_SPEC_ID_03)


def _sha1_event(cursor: LittleEndianReader) -> Event:
    """TCG_PCClientPCREvent (PFP 10.2.1)."""
    pcr, kind = cursor.uint(4), cursor.uint(4)
    digest = cursor.take(20)
    return _event(cursor, pcr, kind, {"sha1": digest})


def _agile_event(cursor: LittleEndianReader, sizes: dict[int, int]) -> Event:
    """TCG_PCR_EVENT2 (PFP 10.2.2): one digest of every algorithm of the Spec ID event.

    Real firmware leaves some out; none may come twice or be of another algorithm.
    """
    pcr, kind, count = cursor.uint(4), cursor.uint(4), cursor.uint(4)
    if not 1 <= count <= len(sizes):
        raise EventLogError(f"event at byte {cursor.at}: {count} digests, {len(sizes)} are due")
    digests: dict[int, bytes] = {}
    for _ in range(count):
        alg = cursor.uint(2)
        if alg not in sizes or alg in digests:
            raise EventLogError(f"event at byte {cursor.at}: a digest of algorithm {alg:#06x}")
        digests[alg] = cursor.take(sizes[alg])
    known = {HASH_BY_ID[alg].name: value for alg, value in digests.items() if alg in HASH_BY_ID}
    return _event(cursor, pcr, kind, known)


def _event(cursor: LittleEndianReader, pcr: int, kind: int, digests: dict[str, bytes]) -> Event:
    # Informative events may name no PCR at all; every other one extends the PCR it names.
    if pcr >= PCRS and kind not in INFORMATIVE:
        raise EventLogError(f"event before byte {cursor.at}: there is no PCR {pcr}")
    return Event(pcr, kind, digests, cursor.take(cursor.uint(4)))


def _spec_id_algorithms(data: bytes) -> tuple[dict[int, int], int]:
    """Read a TCG_EfiSpecIdEvent (PFP 10.4.5.1).

    :return: algorithm -> digest size; and how many bytes of vendor information still follow the
        event: firmware is known whose event size leaves all of them out.
    """
    cursor = LittleEndianReader(data, "event log", EventLogError)
    cursor.take(len(_SPEC_ID_03))
    cursor.uint(4)  # platformClass
    minor, major = cursor.uint(1), cursor.uint(1)
    cursor.take(2)  # specErrata, uintnSize
    if (major, minor) != (2, 0):
        raise EventLogError(f"Spec ID Event03 of version {major}.{minor}, not 2.0")
    count = cursor.uint(4)
    if not 1 <= count <= _MAX_ALGORITHMS:
        raise EventLogError(f"Spec ID event names {count} algorithms: 1 to {_MAX_ALGORITHMS} exist")
    sizes: dict[int, int] = {}
    for _ in range(count):
        alg, size = cursor.uint(2), cursor.uint(2)
        if alg in sizes or not 1 <= size <= _MAX_DIGEST:
            raise EventLogError(f"Spec ID event: algorithm {alg:#06x} twice, or of a wrong size")
        if alg in HASH_BY_ID and size != HASH_BY_ID[alg].size:
            raise EventLogError(f"Spec ID event: digests of {alg:#06x} are not {size} bytes")
        sizes[alg] = size
    vendor = cursor.uint(1)
    if vendor and not cursor.left:
        return sizes, vendor
    cursor.take(vendor)
    if cursor.left:
        raise EventLogError("Spec ID event: bytes behind its vendor information")
    return sizes, 0


def startup_locality(events: Sequence[Event]) -> int:
    """Return the locality of TPM2_Startup, or 4 after an H-CRTM sequence.

    PFP 10.4.5.3.  An H-CRTM event that is the first to extend PCR 0 says 4 without words, whatever
    is stated of TPM2_Startup (TPM 2.0 Part 1, 17.10).  coreboot fills its events up with zeros.

    :raises EventLogError: it is stated twice, or is none that a TPM can be started from.
    """
    found = [
        event.data
        for event in events
        if event.kind == EV_NO_ACTION and event.data.startswith(_STARTUP_LOCALITY)
    ]
    stated = found[0][len(_STARTUP_LOCALITY) :] if found else b"\0"
    if len(found) > 1 or not stated or any(stated[1:]):
        raise EventLogError("the start-up locality is not stated once and in one byte")
    if stated[0] not in (0, 3, 4):
        raise EventLogError(f"the TPM cannot have been started from locality {stated[0]}")
    measured = (event for event in events if event.pcr == 0 and event.kind != EV_NO_ACTION)
    begun = next(measured, None)
    hcrtm = begun is not None and begun.kind == EV_EFI_HCRTM_EVENT
    return _HCRTM_LOCALITY if hcrtm else stated[0]
