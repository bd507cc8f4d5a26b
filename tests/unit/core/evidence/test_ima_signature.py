# SPDX-License-Identifier: Apache-2.0
"""Signatures made by evmctl(1), the tool that signs files for IMA."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID

from e2etrust_core.errors import PolicyError
from e2etrust_core.evidence.errors import ImaListError
from e2etrust_core.evidence.ima_fields import ImaFields
from e2etrust_core.evidence.ima_signature import Keyring, decode_signature, read_keyring

CONTENT = b"#!/bin/sh\n"


def public_pem(key) -> str:
    public = key.public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.fixture(params=["rsa", "ec"])
def key(request):
    if request.param == "rsa":
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(ec.SECP256R1())


def sign(tmp_path, key, algorithm: str = "sha256", *more: str) -> bytes:
    """security.ima as evmctl writes it."""
    evmctl = shutil.which("evmctl")
    assert evmctl, "evmctl is not there: apt install ima-evm-utils (tools/install does)"
    secret = tmp_path / "key.pem"
    secret.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
    file = tmp_path / "file"
    file.write_bytes(CONTENT)
    command = [evmctl, "ima_sign", "--sigfile", "-a", algorithm, "--key", str(secret), *more]
    subprocess.run([*command, str(file)], capture_output=True, check=False)
    return (tmp_path / "file.sig").read_bytes()


def fields(signature: bytes | None, algorithm: str = "sha256", content: bytes = CONTENT):
    digest = hashlib.new(algorithm, content).digest()
    return ImaFields(algorithm, digest, b"/file", signature=signature)


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_evmctls_signature_is_good_for_that_file_and_key_only(tmp_path, key, algorithm):
    signature = sign(tmp_path, key, algorithm)
    ring = read_keyring(public_pem(key))
    assert ring.signed(fields(signature, algorithm))
    assert not ring.signed(fields(signature, algorithm, b"another file"))
    other = rsa.generate_private_key(65537, 2048)
    assert not read_keyring(public_pem(other)).signed(fields(signature, algorithm))
    assert not Keyring().signed(fields(signature, algorithm))


def test_bit_of_the_signature_altered_is_refused(tmp_path, key):
    signature = sign(tmp_path, key)
    ring = read_keyring(public_pem(key))
    for at in (0, 1, 2, 3, 8, len(signature) - 1):
        altered = bytearray(signature)
        altered[at] ^= 1
        assert not ring.signed(fields(bytes(altered)))


def test_key_of_a_certificate_goes_by_the_identifier_that_it_states(tmp_path, key):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "signer")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectKeyIdentifier(b"\1\2\3\4\5\6\7\x08"), critical=False)
        .sign(key, hashes.SHA256())
    )
    signature = sign(tmp_path, key, "sha256", "--keyid", "05060708")
    assert decode_signature(signature).key_id == b"\5\6\7\x08"
    ring = read_keyring(certificate.public_bytes(Encoding.PEM).decode())
    assert ring.signed(fields(signature))
    assert not read_keyring(public_pem(key)).signed(fields(signature))


def test_version_3_says_of_which_kind_the_digest_is():
    key = ec.generate_private_key(ec.SECP256R1())
    ring = read_keyring(public_pem(key))
    digest = hashlib.sha256(CONTENT).digest()
    # struct ima_file_id: hash type, hash algorithm, digest.
    record = hashlib.sha256(b"\x06\x04" + digest).digest()
    value = key.sign(record, ec.ECDSA(Prehashed(hashes.SHA256())))
    header = b"\x06\x03\x04" + next(iter(ring.keys)) + len(value).to_bytes(2, "big")
    verity = replace(fields(header + value), kind="verity")
    assert ring.signed(verity)
    assert not ring.signed(replace(verity, kind="ima"))


def test_sha1_signs_nothing(tmp_path):
    key = rsa.generate_private_key(65537, 2048)
    signature = sign(tmp_path, key, "sha1")
    assert not read_keyring(public_pem(key)).signed(fields(signature, "sha1"))
    with pytest.raises(ImaListError, match="hash"):
        decode_signature(signature)


@pytest.mark.parametrize(
    "text", ["", "no key", "-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----"]
)
def test_keyring_without_a_key_is_refused(text):
    with pytest.raises(PolicyError):
        read_keyring(text)


def test_key_with_anything_else_within_it_is_not_read():
    text = public_pem(ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(PolicyError, match="key 1 of the keyring cannot be read"):
        read_keyring(text.replace("-----\n", "-----\n!", 1))


def test_short_rsa_key_is_refused():
    with pytest.raises(PolicyError, match="2048"):
        read_keyring(public_pem(rsa.generate_private_key(65537, 1024)))
