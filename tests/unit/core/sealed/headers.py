# SPDX-License-Identifier: Apache-2.0
"""Valid LUKS2 headers to spoil: one as ours are, one with keyslots as cryptsetup makes them."""

from __future__ import annotations

import base64
import copy
from typing import Any

from e2etrust_core.sealed import luks2, luks2_json

UUID = "455f9dd7-9d1d-4c54-aeed-f8eb1a795f25"
SALTS = (b"\x01" * 64, b"\x02" * 64)
SIZE = 16384
_SALT = base64.b64encode(b"s" * 32).decode()


def keyslot(offset: int) -> dict[str, Any]:
    return {
        "type": "luks2",
        "key_size": 32,
        "af": {"type": "luks1", "stripes": 4000, "hash": "sha256"},
        "area": {
            "type": "raw",
            "offset": str(offset),
            "size": "131072",
            "encryption": "aes-xts-plain64",
            "key_size": 32,
        },
        "kdf": {"type": "argon2id", "time": 4, "memory": 65536, "cpus": 2, "salt": _SALT},
    }


def document(size: int = SIZE) -> dict[str, Any]:
    """Two keyslots, a digest, a token, one crypt segment behind the keyslots area."""
    return copy.deepcopy(
        {
            "keyslots": {"0": keyslot(2 * size), "1": keyslot(2 * size + 131072)},
            "tokens": {"0": {"type": "test", "keyslots": ["0"]}},
            "segments": {
                "0": {
                    "type": "crypt",
                    "offset": str(16 << 20),
                    "size": "dynamic",
                    "iv_tweak": "0",
                    "encryption": "aes-xts-plain64",
                    "sector_size": 512,
                }
            },
            "digests": {
                "0": {
                    "type": "pbkdf2",
                    "keyslots": ["0", "1"],
                    "segments": ["0"],
                    "hash": "sha256",
                    "iterations": 1000,
                    "salt": _SALT,
                    "digest": _SALT,
                }
            },
            "config": {"json_size": str(size - 4096), "keyslots_size": str(8 << 20)},
        }
    )


def both(text: bytes, size: int = SIZE, sequence: int = 3) -> bytes:
    """Header area with both copies over one text; checksums are right."""
    return luks2.write(text, size, UUID, SALTS, "", sequence)


def good(size: int = SIZE) -> bytes:
    return both(luks2_json.dump(document(size)), size)
