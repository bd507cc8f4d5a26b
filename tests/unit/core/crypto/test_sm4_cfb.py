# SPDX-License-Identifier: Apache-2.0
"""SM4-CFB against the standard's mode made of single blocks, and against a provider that lies."""

from __future__ import annotations

import secrets

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from e2etrust_core import crypto
from e2etrust_core.crypto import selection
from e2etrust_core.crypto.openssl_provider import OpensslProvider
from e2etrust_core.crypto.sm4_cfb import sm4_cfb_encrypt
from e2etrust_core.errors import InputError
from e2etrust_core.evidence.credential import make_credential
from e2etrust_core.evidence.tpm_structures import name_of
from tests.unit.core.crypto.test_lying_provider import HashesOtherwise
from tests.unit.core.sm2_tpm import Sm2Tpm

TPM = Sm2Tpm()


def block(key: bytes, data: bytes) -> bytes:
    return Cipher(algorithms.SM4(key), modes.ECB()).encryptor().update(data)


def textbook(key: bytes, plain: bytes) -> bytes:
    """GB/T 17964, CFB with j = 128 and an IV of zeros."""
    last, out = bytes(16), b""
    for at in range(0, len(plain), 16):
        part = plain[at : at + 16]
        last = bytes(one ^ other for one, other in zip(part, block(key, last), strict=False))
        out += last
    return out


@pytest.mark.parametrize("size", [0, 1, 16, 34, 48, 130])
def test_it_is_the_standards_mode(size):
    key, plain = secrets.token_bytes(16), secrets.token_bytes(size)
    assert sm4_cfb_encrypt(key, plain) == textbook(key, plain)


def test_key_that_is_none_is_refused():
    with pytest.raises(InputError):
        sm4_cfb_encrypt(bytes(15), b"plain")


class DecryptsOtherwise(OpensslProvider):
    name = "decrypts otherwise"

    def sm4_decrypt(self, key: bytes, blocks: bytes) -> bytes:
        return bytes(len(blocks))


@pytest.mark.parametrize("liar", [HashesOtherwise, DecryptsOtherwise])
def test_credential_for_an_sm3_sm4_ek_is_not_made_unless_both_agree(monkeypatch, liar):
    name = name_of(TPM.ak_public)
    assert make_credential(TPM.ek_public, name, bytes(32))
    monkeypatch.setattr(selection, "_selected", (OpensslProvider(), liar()))
    with pytest.raises(crypto.OpinionsDiffer):
        make_credential(TPM.ek_public, name, bytes(32))
