# SPDX-License-Identifier: Apache-2.0
"""SM4 in CFB mode, as TPMs hide what they protect (TPM 2.0 Library Part 1, 11.4.9)."""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from e2etrust_core.crypto.provider import SM4_SIZE, OpinionsDiffer
from e2etrust_core.crypto.selection import sm4_decrypt
from e2etrust_core.errors import SuiteError

_IV = bytes(SM4_SIZE)


def sm4_cfb_encrypt(key: bytes, plain: bytes) -> bytes:
    """Return *plain* under SM4-CFB with an IV of zeros.

    Providers only decrypt: each block of the key stream is held against them by decrypting it.

    :raises InputError: a key that is none.
    :raises OpinionsDiffer: what a provider decrypts is not what was encrypted.
    :raises SuiteError: this OpenSSL is built without SM4.
    """
    padded = plain + bytes(-len(plain) % SM4_SIZE)
    sm4_decrypt(key, b"")  # refuses a key that is none
    try:
        encryptor = Cipher(algorithms.SM4(key), CFB(_IV)).encryptor()
    except UnsupportedAlgorithm as exc:
        raise SuiteError("this OpenSSL has no SM4") from exc
    hidden = encryptor.update(padded) + encryptor.finalize()
    stream = bytes(one ^ other for one, other in zip(hidden, padded, strict=True))
    stream_of = (_IV + hidden)[: len(hidden)]
    if sm4_decrypt(key, stream) != stream_of:
        raise OpinionsDiffer("a provider does not decrypt what was encrypted with SM4")
    return hidden[: len(plain)]
