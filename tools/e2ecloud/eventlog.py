# SPDX-License-Identifier: Apache-2.0
"""Write TCG crypto-agile event logs (TCG PC Client Platform Firmware Profile, section 10).

Pure: events in, bytes out, together with the PCR values that they lead to.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

EV_POST_CODE = 0x00000001
EV_NO_ACTION = 0x00000003
EV_SEPARATOR = 0x00000004
EV_S_CRTM_VERSION = 0x00000008
EV_IPL = 0x0000000D

# TPM_ALG_ID -> (name in hashlib, digest size), TCG Algorithm Registry section 6.
BANKS = {"sha1": (0x0004, 20), "sha256": (0x000B, 32), "sha384": (0x000C, 48)}
SEPARATOR = b"\0\0\0\0"


@dataclass(frozen=True)
class Event:
    """One measurement: into which PCR, of what kind, over which bytes, told by which words.

    ``measured`` is what is hashed. ``data`` is what the log shows; for a version string and a
    separator the profile wants them to be the same.
    """

    pcr: int
    kind: int
    measured: bytes
    data: bytes

    def digest(self, bank: str) -> bytes:
        return hashlib.new(bank, self.measured).digest()


def separator(pcr: int) -> Event:
    return Event(pcr, EV_SEPARATOR, SEPARATOR, SEPARATOR)


def crtm_version(version: str) -> Event:
    text = version.encode("utf-16-le") + b"\0\0"
    return Event(0, EV_S_CRTM_VERSION, text, text)


def write(events: Iterable[Event], banks: Sequence[str]) -> bytes:
    """The log of ``events`` for the PCR ``banks`` (names of :data:`BANKS`)."""
    parts = [_specification(banks)]
    for event in events:
        digests = b"".join(struct.pack("<H", BANKS[bank][0]) + event.digest(bank) for bank in banks)
        parts.append(struct.pack("<III", event.pcr, event.kind, len(banks)) + digests)
        parts.append(struct.pack("<I", len(event.data)) + event.data)
    return b"".join(parts)


def _specification(banks: Sequence[str]) -> bytes:
    """The first record, in the old SHA-1 format: TCG_EfiSpecIDEvent."""
    body = b"Spec ID Event03\0"
    # platformClass 0 (client), version 2.0, errata 2, uintnSize 2 (64 bit)
    body += struct.pack("<IBBBBI", 0, 0, 2, 2, 2, len(banks))
    body += b"".join(struct.pack("<HH", *BANKS[bank]) for bank in banks)
    body += b"\0"  # vendorInfoSize
    return struct.pack("<II", 0, EV_NO_ACTION) + bytes(20) + struct.pack("<I", len(body)) + body


def replay(events: Iterable[Event], bank: str) -> dict[int, bytes]:
    """PCR -> value after extending ``events`` on a freshly reset TPM."""
    values: dict[int, bytes] = {}
    for event in events:
        before = values.get(event.pcr, bytes(BANKS[bank][1]))
        values[event.pcr] = hashlib.new(bank, before + event.digest(bank)).digest()
    return values
