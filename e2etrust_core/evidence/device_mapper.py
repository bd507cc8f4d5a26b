# SPDX-License-Identifier: Apache-2.0
"""What the kernel measured of device-mapper, decoded.

Linux drivers/md/dm-ima.c and Documentation/admin-guide/device-mapper/dm-ima.rst: records that end
in ``;``, of pairs ``key=value`` with ``,`` between them.  Names and UUIDs of devices have a
backslash before each of these characters; what a target tells has none, so where two readings are
possible there is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from e2etrust_core.evidence.errors import ImaListError

TABLE_LOAD = "dm_table_load"
DEVICE_RESUME = "dm_device_resume"
DEVICE_RENAME = "dm_device_rename"
DEVICE_REMOVE = "dm_device_remove"
#: Of a table that never became active.
TABLE_CLEAR = "dm_table_clear"
#: Names of the measured buffers.
DM_BUFFERS = frozenset({TABLE_LOAD, DEVICE_RESUME, DEVICE_RENAME, DEVICE_REMOVE, TABLE_CLEAR})

#: DM_IMA_DEVICE_BUF_LEN and DM_IMA_MEASUREMENT_BUF_LEN are far less.
_MAX_BUFFER = 64 * 1024
_WORD = re.compile(r"((?:\\.|[^\\;,=])*)([;,=]|\Z)", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_VERSION = "dm_version"
_REMOVED = re.compile(rf"(?:{_VERSION}=[^\\;,=]*;)?(device_(?:in)?active_metadata=)?(?=name=)")
_HASH = re.compile(r"(?:sha256:)?([0-9a-f]{64})")

Record = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class DmDevice:
    """A device as its users name it.

    ``number`` is ``major:minor``, the kernel's own for as long as the device is there; empty where
    none is told.
    """

    name: str
    uuid: str
    number: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class DmTarget:
    """A target of a table: ``type`` such as ``verity``, empty where the kernel tells nothing of it;
    ``attributes`` is all that is told, by the kernel's keys."""

    type: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TableLoad:
    """Targets of a table that was loaded, from ``first`` on, of ``count`` in all: a long table is
    measured in several parts."""

    device: DmDevice
    count: int
    first: int
    targets: tuple[DmTarget, ...]


@dataclass(frozen=True, slots=True)
class DeviceResume:
    """A table became a device's active one; ``table`` is the SHA-256 over what was measured when it
    was loaded, None where nothing was."""

    device: DmDevice
    table: bytes | None


@dataclass(frozen=True, slots=True)
class DeviceRename:
    """``before`` is None where the device had no measured table."""

    before: DmDevice | None
    after: DmDevice


@dataclass(frozen=True, slots=True)
class DeviceRemove:
    """``device`` is None where it had no measured table that was active."""

    device: DmDevice | None


DmEvent = TableLoad | DeviceResume | DeviceRename | DeviceRemove


def decode_dm(name: str, buffer: bytes) -> DmEvent:
    """Decode a buffer that was measured as one of :data:`DM_BUFFERS` but :data:`TABLE_CLEAR`.

    :raises ImaListError: it is not as the kernel writes them.
    """
    if name == DEVICE_REMOVE:
        return _remove(buffer)
    records = list(_records(_text(buffer)))
    if records and [key for key, _ in records[0]] == [_VERSION]:
        records = records[1:]
    if not records:
        raise ImaListError(f"{name}: nothing is told of any device")
    if name == TABLE_LOAD:
        return _table_load(records)
    if name == DEVICE_RESUME:
        return _resume(records)
    return _rename(records)


def _text(buffer: bytes) -> str:
    if len(buffer) > _MAX_BUFFER:
        raise ImaListError(f"{len(buffer)} bytes measured of device-mapper")
    try:
        return buffer.rstrip(b"\0").decode("utf-8")
    except UnicodeDecodeError:
        raise ImaListError("what was measured of device-mapper is no text") from None


def _records(text: str) -> Iterator[Record]:
    record: Record = []
    at = 0
    while at < len(text):
        key, end, at = _word(text, at)
        value, after, at = _word(text, at) if end == "=" else ("", "=", at)
        if not key or after == "=":
            raise ImaListError("what was measured of device-mapper is not in pairs")
        record.append((key, value))
        if after != ",":
            yield record
            record = []
    if record:
        yield record


def _word(text: str, at: int) -> tuple[str, str, int]:
    found = _WORD.match(text, at)
    if found is None:
        raise ImaListError("what was measured of device-mapper ends in a backslash")
    return _ESCAPED.sub(r"\1", found[1]), found[2], found.end()


def _mapping(record: Record) -> dict[str, str]:
    found = dict(record)
    if len(found) < len(record):
        raise ImaListError("device-mapper: a key stands twice")
    return found


def _device(record: Record) -> tuple[DmDevice, dict[str, str]]:
    told = _mapping(record)
    if not {"name", "uuid"} <= told.keys():
        raise ImaListError("device-mapper: a device without a name")
    number = f"{told['major']}:{told['minor']}" if {"major", "minor"} <= told.keys() else ""
    return DmDevice(told["name"], told["uuid"], number), told


def _table_load(records: list[Record]) -> TableLoad:
    device, told = _device(records[0])
    pairs = [pair for record in records[1:] for pair in record]
    # A target that tells nothing of itself has no end of its own.
    starts = [place for place, (key, _) in enumerate(pairs) if key == "target_index"]
    if not starts or starts[0] != 0:
        raise ImaListError("device-mapper: a table without targets")
    ends = [*starts[1:], len(pairs)]
    rows = [_mapping(pairs[start:end]) for start, end in zip(starts, ends, strict=True)]
    numbers = [_number(row["target_index"]) for row in rows]
    count = _number(told.get("num_targets", ""))
    if numbers != list(range(numbers[0], numbers[0] + len(rows))) or numbers[-1] >= count:
        raise ImaListError("device-mapper: a table with other targets than it counts")
    targets = tuple(DmTarget(row.get("target_name", ""), row) for row in rows)
    return TableLoad(device, count, numbers[0], targets)


def _resume(records: list[Record]) -> DeviceResume:
    device, _ = _device(records[0])
    told = _mapping([pair for record in records[1:] for pair in record])
    if "active_table_hash" not in told:
        return DeviceResume(device, None)
    found = _HASH.fullmatch(told["active_table_hash"])
    if found is None:
        raise ImaListError("device-mapper: a table's hash that is none")
    return DeviceResume(device, bytes.fromhex(found[1]))


def _rename(records: list[Record]) -> DeviceRename:
    before = None if records[0] == [("device_rename", "no_data")] else _device(records[0])[0]
    told = _mapping([pair for record in records[1:] for pair in record])
    if not {"new_name", "new_uuid"} <= told.keys():
        raise ImaListError("device-mapper: a rename without a new name")
    return DeviceRename(before, DmDevice(told["new_name"], told["new_uuid"]))


def _remove(buffer: bytes) -> DeviceRemove:
    text = _text(buffer)
    found = _REMOVED.match(text)
    if found is None:
        raise ImaListError(f"{DEVICE_REMOVE}: nothing is told of any device")
    if found[1] == "device_inactive_metadata=":
        return DeviceRemove(None)
    return DeviceRemove(_device(next(_records(text[found.end() :])))[0])


def _number(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text):
        raise ImaListError("device-mapper: a number that is none")
    return int(text)
