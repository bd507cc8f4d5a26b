# SPDX-License-Identifier: Apache-2.0
"""SM2, SM3 and SM4 by gmssl, in pure Python: slow, and written by other people than OpenSSL.

It verifies, hashes and decrypts only: gmssl draws its SM2 nonces from Python's ``random``, so
nothing is ever signed with it.
"""

from __future__ import annotations

from gmssl import sm2, sm3, sm4

from e2etrust_core.crypto.provider import SM4_SIZE, Sm2PublicKey


class GmsslProvider:
    """The second opinion."""

    name = "gmssl"

    def sm3(self, data: bytes) -> bytes:
        return bytes.fromhex(sm3.sm3_hash(list(data)))

    def sm2_verify(self, key: Sm2PublicKey, digest: bytes, r: int, s: int) -> bool:
        verifier = sm2.CryptSM2(private_key="", public_key="")
        # Not by the constructor: it strips every leading 0 and 4 of a key that begins with 04.
        verifier.public_key = f"{key.x:064x}{key.y:064x}"
        return bool(verifier.verify(f"{r:064x}{s:064x}", digest))

    def sm4_decrypt(self, key: bytes, blocks: bytes) -> bytes:
        cipher = sm4.CryptSM4()
        cipher.set_key(key, sm4.SM4_DECRYPT)
        # Not by crypt_ecb: it takes off a padding that nobody put there.
        plain = b""
        for at in range(0, len(blocks), SM4_SIZE):
            plain += bytes(cipher.one_round(cipher.sk, list(blocks[at : at + SM4_SIZE])))
        return plain
