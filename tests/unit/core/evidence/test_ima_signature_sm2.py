# SPDX-License-Identifier: Apache-2.0
"""SM2 signatures of files, made by evmctl(1), and SM2 certificates, made by openssl(1)."""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from dataclasses import dataclass, replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from e2etrust_core.crypto import Sm2PublicKey, sm2_signing
from e2etrust_core.errors import PolicyError
from e2etrust_core.evidence.ima_measured_keys import MeasuredKeys
from e2etrust_core.evidence.ima_signature import decode_signature, read_keyring
from e2etrust_core.evidence.public_keys import decode_spki, encode_spki, key_identifier
from tests.unit.core.evidence.test_ek_certificate import Sm2Authority
from tests.unit.core.evidence.test_ima_signature import CONTENT, fields, public_pem, sign


@dataclass(frozen=True)
class Sm2Key:
    """One as :func:`sign` takes it."""

    pkcs8: bytes

    def private_bytes(self, *_: object) -> bytes:
        return pem("PRIVATE KEY", self.pkcs8)

    @property
    def public(self) -> Sm2PublicKey:
        return sm2_signing.Sm2PrivateKey(self.pkcs8).public


def pem(kind: str, der: bytes) -> bytes:
    return f"-----BEGIN {kind}-----\n{b64encode(der).decode()}\n-----END {kind}-----\n".encode()


@pytest.fixture
def key() -> Sm2Key:
    return Sm2Key(sm2_signing.generate_key().pkcs8)


def ring_of(*keys: Sm2Key):
    return read_keyring("".join(pem("PUBLIC KEY", encode_spki(k.public)).decode() for k in keys))


def test_evmctls_signature_is_good_for_that_file_and_key_only(tmp_path, key):
    signature = sign(tmp_path, key, "sm3")
    found = decode_signature(signature)
    assert (found.version, found.algorithm) == (2, "sm3")
    assert found.key_id == key_identifier(key.public)[-4:]
    assert ring_of(key).signed(fields(signature, "sm3"))
    assert not ring_of(key).signed(fields(signature, "sm3", b"another file"))
    other = sm2_signing.generate_key()
    assert not ring_of(Sm2Key(other.pkcs8)).signed(fields(signature, "sm3"))


def test_older_kernels_name_of_sm3_is_the_same_hash(tmp_path, key):
    entry = replace(fields(sign(tmp_path, key, "sm3"), "sm3"), algorithm="sm3-256")
    assert ring_of(key).signed(entry)
    assert not ring_of(key).signed(replace(entry, algorithm="sha256"))


def test_bit_altered_is_refused(tmp_path, key):
    signature = sign(tmp_path, key, "sm3")
    for at in (0, 1, 2, 3, 8, 9, 11, 20, len(signature) - 1):
        altered = bytearray(signature)
        altered[at] ^= 1
        assert not ring_of(key).signed(fields(bytes(altered), "sm3"))


def labelled(signature: bytes, identifier: bytes, algorithm: int = 0x11) -> bytes:
    head = bytes((3, 2, algorithm)) + identifier[-4:] + len(signature).to_bytes(2, "big")
    return head + signature


def test_signature_over_the_signers_identity_too_is_not_the_kernels(key):
    """As openssl(1) and certificates have it: Z_A stands before the message."""
    both = sm2_signing.Sm2PrivateKey(key.pkcs8).sign(CONTENT)
    value = encode_dss_signature(*(int.from_bytes(n, "big") for n in (both[:32], both[32:])))
    assert not ring_of(key).signed(fields(labelled(value, key_identifier(key.public)), "sm3"))


def test_sm3_signs_with_sm2_alone_and_sm2_over_sm3_alone(tmp_path, key):
    for another in (rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())):
        public = another.public_key()
        signature = sign(tmp_path, another)
        told = labelled(signature[9:], key_identifier(public))
        assert not read_keyring(public_pem(another)).signed(fields(told, "sm3"))
    signature = sign(tmp_path, key, "sm3")
    told = labelled(signature[9:], key_identifier(key.public), 4)
    digest = hashlib.new("sm3", CONTENT).digest()
    assert not ring_of(key).signed(replace(fields(told, "sha256"), digest=digest))


def test_key_of_a_certificate_signs_from_a_keyring_and_as_a_measured_key(tmp_path):
    authority = Sm2Authority(tmp_path)
    key = Sm2Key(b64decode((tmp_path / "ca.key").read_text().split("-----")[2]))
    certificate = x509.load_pem_x509_certificate(authority.pem)
    entry = fields(sign(tmp_path, key, "sm3"), "sm3")
    ring = read_keyring(authority.pem.decode())
    assert ring.signed(entry)
    measured = MeasuredKeys()
    assert measured.add(certificate.public_bytes(Encoding.DER))
    assert measured.signed(entry)
    assert MeasuredKeys(measured.kept).signed(entry)
    assert ring.fingerprint == ring_of(key).fingerprint


def test_point_that_is_none_is_no_key(key):
    spki = bytearray(encode_spki(key.public))
    assert decode_spki(bytes(spki)) == key.public
    spki[-1] ^= 1
    with pytest.raises(PolicyError, match="cannot be read"):
        read_keyring(pem("PUBLIC KEY", bytes(spki)).decode())
