# SPDX-License-Identifier: Apache-2.0
"""PEM files (RFC 7468): what stands between the blocks is not read, what is in one is."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

_BLOCK = re.compile(rb"-----BEGIN ([A-Z ]+)-----(.+?)-----END \1-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class PemBlock:
    label: str
    text: bytes

    def der(self) -> bytes:
        """:raises ValueError: there is anything but base64 in it."""
        return base64.b64decode(b"".join(self.text.split()), validate=True)


def blocks(data: bytes) -> list[PemBlock]:
    return [PemBlock(found[1].decode(), found[2]) for found in _BLOCK.finditer(data)]
