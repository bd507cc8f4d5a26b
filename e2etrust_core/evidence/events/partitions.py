# SPDX-License-Identifier: Apache-2.0
"""The partition table of the disk that was booted from.

TCG PC Client PFP 1.06, 10.2.4 (UEFI_GPT_DATA); UEFI 2.10, 5.3 (GPT).  EV_EFI_GPT_EVENT2 is the
same with the GUIDs of disk and partitions set to zero, so that it is the same on all disks of a
kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from e2etrust_core.evidence.errors import EventLogError
from e2etrust_core.evidence.little_endian import LittleEndianReader

_SIGNATURE = b"EFI PART"
_ENTRY = 128
_NAME = 36
_MAX_ENTRY = 4096
_MAX_PARTITIONS = 1024


@dataclass(frozen=True, slots=True)
class Partition:
    """``first`` and ``last`` are blocks; ``name`` is empty where it is no text."""

    kind: UUID
    unique: UUID
    first: int
    last: int
    attributes: int
    name: str


@dataclass(frozen=True, slots=True)
class PartitionTable:
    """``extra`` are bytes behind the partitions, which no specification knows."""

    disk: UUID
    partitions: tuple[Partition, ...]
    extra: bytes


def decode_partition_table(data: bytes) -> PartitionTable:
    """Decode a UEFI_GPT_DATA: the header, and the entries that are in use.

    :raises EventLogError: not a GPT header, or sizes that do not fit.
    """
    reader = LittleEndianReader(data, "partition table", EventLogError)
    if reader.take(8) != _SIGNATURE:
        raise EventLogError("partition table: no GPT header")
    reader.take(48)  # revision to LastUsableLBA
    disk = reader.guid()
    reader.take(8 + 4)  # PartitionEntryLBA, NumberOfPartitionEntries
    size = reader.uint(4)
    reader.take(4)  # PartitionEntryArrayCRC32
    count = reader.uint(8)
    if not _ENTRY <= size <= _MAX_ENTRY or count > _MAX_PARTITIONS:
        raise EventLogError(f"partition table: {count} entries of {size} bytes")
    entries = tuple(_partition(reader.take(size)) for _ in range(count))
    return PartitionTable(disk, entries, reader.rest())


def _partition(entry: bytes) -> Partition:
    reader = LittleEndianReader(entry, "partition", EventLogError)
    kind, unique = reader.guid(), reader.guid()
    first, last, attributes = reader.uint(8), reader.uint(8), reader.uint(8)
    try:
        name = reader.text16(_NAME).partition("\0")[0]
    except EventLogError:
        name = ""
    return Partition(kind, unique, first, last, attributes, name)
