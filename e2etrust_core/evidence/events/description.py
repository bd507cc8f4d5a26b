# SPDX-License-Identifier: Apache-2.0
"""An event of the log in words for a person, with what of it its digest vouches for.

Nothing is decided by these words: what no digest covers is told as what the log says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from e2etrust_core.evidence.errors import EventLogError
from e2etrust_core.evidence.event_log import EV_NO_ACTION, Event
from e2etrust_core.evidence.events import kinds
from e2etrust_core.evidence.events.boot_entries import (
    decode_boot_order,
    decode_load_option,
    is_boot_entry,
)
from e2etrust_core.evidence.events.coverage import Covered, coverage
from e2etrust_core.evidence.events.device_path import path_texts
from e2etrust_core.evidence.events.firmware import (
    FirmwareBlob,
    HandoffTables,
    decode_firmware_blob,
    decode_firmware_blob2,
    decode_handoff_tables,
    decode_handoff_tables2,
)
from e2etrust_core.evidence.events.images import decode_image_load
from e2etrust_core.evidence.events.partitions import decode_partition_table
from e2etrust_core.evidence.events.sipa import Measured, decode_measured
from e2etrust_core.evidence.events.text import covered_text, text_of
from e2etrust_core.evidence.events.variables import (
    EFI_GLOBAL,
    EfiVariable,
    decode_signature_lists,
    decode_variable,
)
from e2etrust_core.one_line import printable

_LONGEST = 200
_DATABASES = frozenset({"PK", "KEK", "db", "dbx", "dbt", "dbr", "MokList", "MokListX"})
_SHOWN_BYTES = 32
_SHORT_VALUE = 8
_OWNER = 16


@dataclass(frozen=True, slots=True)
class Description:
    """``covered``: what the words may be relied on for: as :data:`.coverage.Covered`, or ``text``:
    they are the text that was hashed.  ``nothing``: they are the log's story.
    """

    kind: str
    covered: Covered | Literal["text"] | None
    words: str


def describe(event: Event, bank: str) -> Description:
    """Return *event* in words; ``covered`` is None where it has no digest of *bank*.

    An event whose data cannot be decoded is shown by its first bytes, with the reason.
    """
    kind = kinds.name_of_kind(event.kind)
    if (text := covered_text(event, bank)) is not None:
        return Description(kind, "text", printable(f'"{text}"', _LONGEST))
    covered = coverage(event, bank) if bank in event.digests else None
    return Description(kind, covered, printable(_words(event), _LONGEST))


def _words(event: Event) -> str:
    decode = _DECODERS.get(event.kind)
    fault = ""
    if decode is not None:
        try:
            return decode(event.data)
        except EventLogError as exc:
            fault = f" ({exc.reason})"
    if (text := text_of(event.data)) is not None:
        return text  # names of files that GRUB read, of variables that shim measured
    shown = event.data[:_SHOWN_BYTES]
    more = f" and {len(event.data) - len(shown)} more bytes" if len(event.data) > len(shown) else ""
    return f"{shown.hex()}{more}{fault}" if shown else ""


def _variable(data: bytes) -> str:
    variable = decode_variable(data)
    return f"{variable.name} = {_contents(variable)}"


def _authority(data: bytes) -> str:
    """What let an image run: of a signature database the one entry that did (PFP 10.4.2)."""
    variable = decode_variable(data)
    if variable.name in _DATABASES and len(variable.data) > _OWNER:
        owner = UUID(bytes_le=variable.data[:_OWNER])
        return f"{variable.name}: an entry of {owner}, {len(variable.data) - _OWNER} bytes"
    return f"{variable.name} = {_shown(variable.data)}"


def _contents(variable: EfiVariable) -> str:
    data = variable.data
    if not data:
        return "(not there)"
    if variable.name in _DATABASES:
        entries = decode_signature_lists(data)
        return f"{len(entries)} entries"
    if variable.vendor == EFI_GLOBAL and variable.name == "BootOrder":
        return ", ".join(f"Boot{number:04X}" for number in decode_boot_order(data))
    if is_boot_entry(variable):
        option = decode_load_option(data)
        state = "" if option.active else " (not active)"
        return f"{option.description}: {', '.join(option.paths)}{state}"
    return _shown(data)


def _shown(data: bytes) -> str:
    return data.hex() if len(data) <= _SHOWN_BYTES else f"{len(data)} bytes"


def _image(data: bytes) -> str:
    image = decode_image_load(data)
    return f"image of {image.length} bytes: {', '.join(path_texts(image.device_path))}"


def _partitions(data: bytes) -> str:
    table = decode_partition_table(data)
    listed = ", ".join(f"{one.unique} {one.name}".strip() for one in table.partitions)
    return f"disk {table.disk}: {listed}"


def _blob(found: FirmwareBlob) -> str:
    name = f"{found.description}: " if found.description else ""
    return f"{name}{found.length} bytes at {found.address:#x}"


def _tables(found: HandoffTables) -> str:
    name = f"{found.description}: " if found.description else ""
    return name + ", ".join(str(kind) for kind, _ in found.tables)


def _tags(data: bytes) -> str:
    return ", ".join(map(_measured, decode_measured(data)))


def _measured(one: Measured) -> str:
    if not one.data:
        return one.name
    short = one.data.hex() if len(one.data) <= _SHORT_VALUE else f"({len(one.data)} bytes)"
    return f"{one.name} {short}"


_DECODERS: dict[int, Callable[[bytes], str]] = {
    **dict.fromkeys(kinds.VARIABLE_KINDS, _variable),
    kinds.EV_EFI_VARIABLE_AUTHORITY: _authority,
    **dict.fromkeys(kinds.IMAGE_KINDS, _image),
    kinds.EV_EFI_GPT_EVENT: _partitions,
    kinds.EV_EFI_GPT_EVENT2: _partitions,
    kinds.EV_EFI_PLATFORM_FIRMWARE_BLOB: lambda data: _blob(decode_firmware_blob(data)),
    kinds.EV_EFI_PLATFORM_FIRMWARE_BLOB2: lambda data: _blob(decode_firmware_blob2(data)),
    kinds.EV_EFI_HANDOFF_TABLES: lambda data: _tables(decode_handoff_tables(data)),
    kinds.EV_EFI_HANDOFF_TABLES2: lambda data: _tables(decode_handoff_tables2(data)),
    kinds.EV_EVENT_TAG: _tags,
    EV_NO_ACTION: lambda data: data[:16].split(b"\0")[0].decode("ascii", "replace"),
}
