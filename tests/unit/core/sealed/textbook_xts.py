# SPDX-License-Identifier: Apache-2.0
"""XTS written straight from IEEE Std 1619-2018 over another library's SM4: slow, and apart."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


def crypt(
    key: bytes, data: bytes, sector: int, sector_size: int, iv_step: int = 1, encrypt: bool = False
) -> bytes:
    """Encrypt or decrypt whole sectors; arguments as for Sm4Xts."""
    data_key = Cipher(algorithms.SM4(key[:16]), modes.ECB())
    tweak_key = Cipher(algorithms.SM4(key[16:]), modes.ECB()).encryptor()
    block = data_key.encryptor() if encrypt else data_key.decryptor()
    out = bytearray()
    for at in range(0, len(data), sector_size):
        tweak = int.from_bytes(tweak_key.update(sector.to_bytes(16, "little")), "little")
        for block_at in range(at, at + sector_size, 16):
            mask = tweak.to_bytes(16, "little")
            tweaked = bytes(
                a ^ b for a, b in zip(data[block_at : block_at + 16], mask, strict=True)
            )
            out += bytes(a ^ b for a, b in zip(block.update(tweaked), mask, strict=True))
            tweak <<= 1
            if tweak >> 128:
                tweak = (tweak & ((1 << 128) - 1)) ^ 0x87
        sector += iv_step
    return bytes(out)
