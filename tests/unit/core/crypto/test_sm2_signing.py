# SPDX-License-Identifier: Apache-2.0
"""SM2 signatures: against the standard's digest, the openssl command and both providers."""

from __future__ import annotations

import base64
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from e2etrust_core import crypto
from e2etrust_core.crypto.sm2_signing import Sm2PrivateKey, generate_key, message_digest
from e2etrust_core.errors import InputError
from tests.unit.core.crypto.test_providers import KEY


def verifies(key, message: bytes, signature: bytes) -> bool:
    numbers = (int.from_bytes(one, "big") for one in (signature[:32], signature[32:]))
    return crypto.sm2_verify(key, message_digest(key, message), *numbers)


def test_digest_is_that_of_the_standard():
    """GB/T 32918.5, annex A: message, identity, key and e."""
    e = "f0b43e94ba45accaace692ed534382eb17e6ab5a19ce7b31f4486fdfc0d28640"
    assert message_digest(KEY, b"message digest").hex() == e


def test_signature_is_good_for_its_message_only():
    key = generate_key()
    signature = key.sign(b"a message")
    assert len(signature) == 64
    assert verifies(key.public, b"a message", signature)
    assert not verifies(key.public, b"another", signature)
    assert not verifies(generate_key().public, b"a message", signature)
    assert key.sign(b"a message") != signature


def test_openssl_command_takes_key_and_signature(tmp_path):
    key = generate_key()
    pem = b"-----BEGIN PRIVATE KEY-----\n%s-----END PRIVATE KEY-----\n"
    (tmp_path / "key.pem").write_bytes(pem % base64.encodebytes(key.pkcs8))
    signature = key.sign(b"a message")
    numbers = (int.from_bytes(one, "big") for one in (signature[:32], signature[32:]))
    (tmp_path / "signature").write_bytes(encode_dss_signature(*numbers))
    (tmp_path / "message").write_bytes(b"a message")
    subprocess.run(
        ["openssl", "pkey", "-in", "key.pem", "-pubout", "-out", "public.pem"],
        cwd=tmp_path,
        check=True,
    )
    verify = ["-sigopt", "distid:1234567812345678", "-verify", "public.pem"]
    done = subprocess.run(
        ["openssl", "dgst", "-sm3", *verify, "-signature", "signature", "message"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "Verified OK\n", done.stderr


def test_key_of_the_openssl_command_is_taken(tmp_path):
    making = ["openssl", "genpkey", "-algorithm", "SM2", "-outform", "DER", "-out", "key.der"]
    subprocess.run(making, cwd=tmp_path, check=True)
    key = Sm2PrivateKey((tmp_path / "key.der").read_bytes())
    assert verifies(key.public, b"m", key.sign(b"m"))


@pytest.mark.parametrize("damage", [lambda der: b"", lambda der: der[:-9], lambda der: der[9:]])
def test_bytes_that_are_no_key_are_refused(damage):
    with pytest.raises(InputError):
        Sm2PrivateKey(damage(generate_key().pkcs8))


def test_key_of_another_curve_is_refused():
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with pytest.raises(InputError):
        Sm2PrivateKey(other)
