# SPDX-License-Identifier: Apache-2.0
"""What the firmware may boot: BootOrder and Boot#### (UEFI 2.10, 3.1.3 and 3.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from e2etrust_core.evidence.errors import EventLogError
from e2etrust_core.evidence.events.device_path import path_texts
from e2etrust_core.evidence.events.variables import EFI_GLOBAL, EfiVariable
from e2etrust_core.evidence.little_endian import LittleEndianReader

_ACTIVE = 0x00000001
_HIDDEN = 0x00000008
_BOOT_ENTRY = re.compile(r"Boot[0-9A-F]{4}")


@dataclass(frozen=True, slots=True)
class LoadOption:
    """An EFI_LOAD_OPTION.  ``paths``: as :mod:`.device_path` writes them; the first is loaded.

    ``optional_data`` is handed to what is loaded: a kernel takes its command line from there.
    """

    attributes: int
    description: str
    paths: tuple[str, ...]
    optional_data: bytes

    @property
    def active(self) -> bool:
        return bool(self.attributes & _ACTIVE)

    @property
    def hidden(self) -> bool:
        return bool(self.attributes & _HIDDEN)


def is_boot_entry(variable: EfiVariable) -> bool:
    """Is *variable* called as a boot entry is?"""
    return variable.vendor == EFI_GLOBAL and _BOOT_ENTRY.fullmatch(variable.name) is not None


def decode_load_option(data: bytes) -> LoadOption:
    """Decode the contents of a Boot#### variable.

    :raises EventLogError: sizes that do not fit, or a description that is no text.
    """
    reader = LittleEndianReader(data, "boot entry", EventLogError)
    attributes, size = reader.uint(4), reader.uint(2)
    description = reader.text16_closed()
    return LoadOption(attributes, description, path_texts(reader.take(size)), reader.rest())


def decode_boot_order(data: bytes) -> tuple[int, ...]:
    """Return the numbers of the boot entries in the order in which they are tried.

    :raises EventLogError: half a number at the end.
    """
    reader = LittleEndianReader(data, "boot order", EventLogError)
    return tuple(reader.uint(2) for _ in range((len(data) + 1) // 2))
