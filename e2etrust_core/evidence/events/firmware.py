# SPDX-License-Identifier: Apache-2.0
"""Firmware and the tables it hands over, in an event log.

TCG PC Client PFP 1.06, 10.2.2 (UEFI_PLATFORM_FIRMWARE_BLOB, UEFI_PLATFORM_FIRMWARE_BLOB2), 10.2.5
(UEFI_HANDOFF_TABLE_POINTERS, UEFI_HANDOFF_TABLE_POINTERS2).  Digests are of the firmware and of
the tables, never of these bytes: they tell a person what was measured, and decide nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from e2etrust_core.evidence.errors import EventLogError
from e2etrust_core.evidence.little_endian import LittleEndianReader

T = TypeVar("T")
_MAX_TABLES = 64


@dataclass(frozen=True, slots=True)
class FirmwareBlob:
    """Where a piece of firmware lay, its size in bytes, and what the firmware calls it."""

    address: int
    length: int
    description: str = ""


@dataclass(frozen=True, slots=True)
class HandoffTables:
    """Tables by the GUID that says what they are, with their addresses."""

    tables: tuple[tuple[UUID, int], ...]
    description: str = ""


def decode_firmware_blob(data: bytes) -> FirmwareBlob:
    """Decode the data of EV_EFI_PLATFORM_FIRMWARE_BLOB, or of EV_POST_CODE that is not text.

    :raises EventLogError: not two numbers of eight bytes.
    """
    reader = _reader(data)
    return _all_of(reader, FirmwareBlob(reader.uint(8), reader.uint(8)))


def decode_firmware_blob2(data: bytes) -> FirmwareBlob:
    """Decode the data of EV_EFI_PLATFORM_FIRMWARE_BLOB2.

    :raises EventLogError: sizes that do not fit.
    """
    reader = _reader(data)
    description = _description(reader)
    return _all_of(reader, FirmwareBlob(reader.uint(8), reader.uint(8), description))


def decode_handoff_tables(data: bytes) -> HandoffTables:
    """Decode the data of EV_EFI_HANDOFF_TABLES; some firmware logs EV_TABLE_OF_DEVICES so too.

    :raises EventLogError: sizes that do not fit, or more tables than there can be.
    """
    reader = _reader(data)
    return _all_of(reader, HandoffTables(_tables(reader)))


def decode_handoff_tables2(data: bytes) -> HandoffTables:
    """Decode the data of EV_EFI_HANDOFF_TABLES2.

    :raises EventLogError: sizes that do not fit, or more tables than there can be.
    """
    reader = _reader(data)
    description = _description(reader)
    return _all_of(reader, HandoffTables(_tables(reader), description))


def _reader(data: bytes) -> LittleEndianReader:
    return LittleEndianReader(data, "firmware event", EventLogError)


def _description(reader: LittleEndianReader) -> str:
    raw = reader.take(reader.uint(1)).rstrip(b"\0")
    text = raw.decode("ascii", errors="replace")
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _tables(reader: LittleEndianReader) -> tuple[tuple[UUID, int], ...]:
    count = reader.uint(8)
    if count > _MAX_TABLES:
        raise EventLogError(f"firmware event: {count} tables")
    return tuple((reader.guid(), reader.uint(8)) for _ in range(count))


def _all_of(reader: LittleEndianReader, found: T) -> T:
    if reader.left:
        raise EventLogError(f"firmware event: {reader.left} bytes too many")
    return found
