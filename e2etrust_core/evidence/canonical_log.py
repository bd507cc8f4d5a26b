# SPDX-License-Identifier: Apache-2.0
"""Canonical event logs as JSON, and the log of what systemd measures after the firmware.

TCG Canonical Event Log Format 1.0 (CEL), JSON encoding: records with ``pcr``, ``digests``,
``content_type`` and ``content``.  systemd writes such records to /run/log/systemd/tpm2-measure.log
as a JSON text sequence (RFC 7464; systemd, TPM2_PCR_MEASUREMENTS); others write one array, or a
record a line.  As with every log, only its replay against quoted values makes it more than a story.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from typing import Any, cast

from e2etrust_core.evidence.errors import EventLogError
from e2etrust_core.evidence.event_log import (
    EV_NO_ACTION,
    MAX_EVENTS,
    PCRS,
    Event,
    EventLog,
    startup_locality,
)
from e2etrust_core.evidence.events.kinds import CANONICAL, SYSTEMD, kind_of_name
from e2etrust_core.suites import HASHES

MAX_CANONICAL_LOG = 8 * 1024 * 1024
_SEPARATOR = "\x1e"
_SPEC_ID = b"Spec ID Event03\0"
_MAX_DIGESTS = 16


def parse_canonical_log(data: bytes) -> EventLog:
    """Decode a whole log; records that extend no PCR (systemd's NV indexes) are left out.

    An event of the PC Client profile is what it would be in a TCG log; of systemd's records
    ``data`` is the string that they tell, of others it is empty.

    :raises EventLogError: too long, no JSON, or a record that is not as the format says.
    """
    if len(data) > MAX_CANONICAL_LOG:
        raise _fault(f"{len(data)} bytes, at most {MAX_CANONICAL_LOG} are read")
    try:
        records = list(_records(data.decode()))
    except (ValueError, RecursionError):
        raise _fault("no records in JSON") from None
    if len(records) > MAX_EVENTS:
        raise _fault(f"more than {MAX_EVENTS} records")
    found = [_event(record, number) for number, record in enumerate(records, 1)]
    events = tuple(event for event in found if event is not None and not _is_header(event))
    banks = dict.fromkeys(bank for event in events for bank in event.digests)
    return EventLog(tuple(banks), events, startup_locality(events))


def _records(text: str) -> Iterator[object]:
    """:raises ValueError: no JSON, or a name that stands twice."""
    if text.lstrip().startswith("["):
        yield from json.loads(text, object_pairs_hook=_unique)
        return
    for part in text.split(_SEPARATOR) if _SEPARATOR in text else text.splitlines():
        if part.strip():
            yield json.loads(part, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _event(record: object, number: int) -> Event | None:
    where = f"record {number}"
    if not isinstance(record, dict):
        raise _fault(f"{where}: no object")
    if "pcr" not in record:
        return None  # an NV index: no PCR was extended
    pcr = record["pcr"]
    if isinstance(pcr, bool) or not isinstance(pcr, int) or not 0 <= pcr < PCRS:
        raise _fault(f"{where}: there is no such PCR")
    kind, data = _content(record.get("content_type"), record.get("content"), where)
    return Event(pcr, kind, _digests(record.get("digests"), where), data)


def _digests(value: object, where: str) -> dict[str, bytes]:
    if not isinstance(value, list) or not 1 <= len(value) <= _MAX_DIGESTS:
        raise _fault(f"{where}: digests: a list of 1 to {_MAX_DIGESTS}")
    found: dict[str, bytes] = {}
    for one in value:
        name = one.get("hashAlg") if isinstance(one, dict) else None
        if not isinstance(name, str):
            raise _fault(f"{where}: a digest without its hashAlg")
        bank = name.lower().replace("-", "_")
        bank = "sm3_256" if bank == "sm3" else bank
        if bank in found:
            raise _fault(f"{where}: two digests of {bank}")
        if bank in HASHES:
            found[bank] = _digest(one.get("digest"), HASHES[bank].size, where)
    return found


def _digest(value: object, size: int, where: str) -> bytes:
    if not isinstance(value, str) or not re.fullmatch(f"[0-9a-fA-F]{{{2 * size}}}", value):
        raise _fault(f"{where}: a digest that is not of {size} bytes in hexadecimal")
    return bytes.fromhex(value)


def _content(form: object, content: object, where: str) -> tuple[int, bytes]:
    if not isinstance(content, dict):
        return CANONICAL, b""
    if form == "systemd":
        told = content.get("string")
        return SYSTEMD, told.encode("utf-8", "surrogatepass") if isinstance(told, str) else b""
    if form == "pcclient_std":
        kind = kind_of_name(str(content.get("event_type")))
        return CANONICAL if kind is None else kind, _bytes(content.get("event_data"), where)
    return CANONICAL, b""


def _bytes(value: object, where: str) -> bytes:
    """Hexadecimal as most write it, base64 as others do."""
    text = "" if value is None else value
    if isinstance(text, str) and re.fullmatch(r"([0-9a-fA-F]{2})*", text):
        return bytes.fromhex(text)
    try:
        return base64.b64decode(cast(str, text), validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise _fault(f"{where}: event_data is neither hexadecimal nor base64") from None


def _is_header(event: Event) -> bool:
    return event.kind == EV_NO_ACTION and event.data.startswith(_SPEC_ID)


def _fault(reason: str) -> EventLogError:
    return EventLogError(
        f"canonical event log: {reason}", remedy="take it again from the host's systemd"
    )
