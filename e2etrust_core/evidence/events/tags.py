# SPDX-License-Identifier: Apache-2.0
"""Tagged events, EV_EVENT_TAG (TCG PC Client PFP 1.05, 10.2.7: TCG_PCClientTaggedEvent).

Windows hashes the tags themselves; systemd-boot, systemd-stub and the kernel's EFI stub hash what
the tag only names.  :mod:`.coverage` tells which.
"""

from __future__ import annotations

from dataclasses import dataclass

from e2etrust_core.evidence.errors import EventLogError
from e2etrust_core.evidence.little_endian import LittleEndianReader

#: What systemd (TPM2_PCR_MEASUREMENTS) and Linux (drivers/firmware/efi/libstub) measure by tag.
TAGS = {
    0xF5BC582A: "loader.conf",
    0x6C46F751: "devicetree addon",
    0x49DFFE0F: "initrd addon",
    0xDAC08E1A: "microcode addon",
    0x13AED6DB: "UKI profile",
    0xD5CB7CBC: "smbios:type1",
    0xE0D47BC8: "smbios:type2",
    0xC0B3BD23: "smbios:type11",
    0x8F3B22EC: "Linux initrd",
    0x8F3B22ED: "Linux load options",
}
MAX_TAGS = 4096


@dataclass(frozen=True, slots=True)
class Tag:
    id: int
    data: bytes

    @property
    def name(self) -> str:
        """What is measured under this tag, or its number."""
        return TAGS.get(self.id, f"{self.id:#010x}")


def decode_tags(data: bytes) -> tuple[Tag, ...]:
    """Decode the tags of an event, one behind the other.

    :raises EventLogError: none, too many, or a size that does not fit.
    """
    reader = LittleEndianReader(data, "tagged event", EventLogError)
    found: list[Tag] = []
    while reader.left or not found:
        if len(found) >= MAX_TAGS:
            raise EventLogError(f"tagged event of more than {MAX_TAGS} tags")
        found.append(Tag(reader.uint(4), reader.take(reader.uint(4))))
    return tuple(found)
