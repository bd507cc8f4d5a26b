# SPDX-License-Identifier: Apache-2.0
"""Signatures of files as IMA records them (security.ima), and keyrings to check them by.

Linux security/integrity/integrity.h (struct signature_v2_hdr, struct ima_file_id),
digsig_asymmetric.c and include/uapi/linux/hash_info.h.  Version 2 signs the file's digest, version
3 a record that says that the digest is one of fs-verity.  So does SM2, over SM3 alone: what is
signed has no Z_A before it (GB/T 32918.2, 5.5), as kernel and evmctl(1) have it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from e2etrust_core.crypto import digest_of, sm2_verify
from e2etrust_core.crypto.provider import Sm2PublicKey
from e2etrust_core.errors import PolicyError
from e2etrust_core.evidence import pem
from e2etrust_core.evidence.certificate import load_certificate
from e2etrust_core.evidence.errors import EkCertificateUnreadable, ImaListError
from e2etrust_core.evidence.ima_fields import ImaFields
from e2etrust_core.evidence.public_keys import (
    PublicKey,
    decode_spki,
    encode_spki,
    key_identifier,
)

#: EVM_IMA_XATTR_DIGSIG, EVM_XATTR_PORTABLE_DIGSIG is not for files' content, IMA_VERITY_DIGSIG.
_DIGSIG, _VERITY_DIGSIG = 0x03, 0x06
_HEADER = 9
#: Bytes of a key's identifier that a signature names.
KEY_ID = 4
_MAX_KEYS = 256
_MIN_RSA_BITS = 2048
#: enum hash_algo -> the kernel's name.  SHA-1 signs nothing here.
_ALGORITHMS = {4: "sha256", 5: "sha384", 6: "sha512", 7: "sha224", 17: "sm3"}
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
    "sha224": hashes.SHA224(),
}
#: What cryptography raises over keys and certificates that it does not read.
UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    EkCertificateUnreadable,
)


@dataclass(frozen=True, slots=True)
class ImaSignature:
    """``key_id`` is 4 bytes of the signer's key identifier, a hint and no proof."""

    version: int
    algorithm: str
    key_id: bytes
    value: bytes


@dataclass(frozen=True)
class Keyring:
    """Public keys by key identifier; an empty one vouches for nothing."""

    keys: dict[bytes, list[PublicKey]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.keys)

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 over all of the keys."""
        encoded = sorted(
            identifier + encode_spki(key) for identifier, keys in self.keys.items() for key in keys
        )
        return hashlib.sha256(b"".join(hashlib.sha256(one).digest() for one in encoded)).digest()

    def signed(self, fields: ImaFields) -> bool:
        """Whether one of the keys signed the file digest of *fields*."""
        if fields.signature is None:
            return False
        try:
            signature = decode_signature(fields.signature)
        except ImaListError:
            return False
        digest = _signed_digest(signature, fields)
        if digest is None:
            return False
        candidates = self.keys.get(signature.key_id, [])
        return any(_verifies(key, signature, digest) for key in candidates)


def decode_signature(data: bytes) -> ImaSignature:
    """Decode security.ima as an entry of template ima-sig or ima-sigv2 has it.

    :raises ImaListError: no signature of version 2 or 3, or of a hash that is not taken here.
    """
    if len(data) <= _HEADER or (data[0], data[1]) not in ((_DIGSIG, 2), (_VERITY_DIGSIG, 3)):
        raise ImaListError("an IMA signature of a kind not known here")
    algorithm = _ALGORITHMS.get(data[2])
    if algorithm is None:
        raise ImaListError("an IMA signature with a hash that is not taken here")
    if int.from_bytes(data[7:9], "big") != len(data) - _HEADER:
        raise ImaListError("an IMA signature of another length than it states")
    return ImaSignature(data[1], algorithm, data[3:7], data[_HEADER:])


def read_keyring(text: str) -> Keyring:
    """Read PEM certificates and public keys.

    A certificate's key goes by its subject key identifier, any other by the SHA-1 of the public
    key (RFC 5280, 4.2.1.2); certificates are taken for the key that they carry: their dates and
    issuers are not looked at, since whoever wrote the policy chose them.

    :raises PolicyError: nothing of the kind in it, or a key that is not taken here.
    """
    blocks = pem.blocks(text.encode())
    if not 1 <= len(blocks) <= _MAX_KEYS:
        raise PolicyError(f"a keyring is 1 to {_MAX_KEYS} PEM certificates or public keys")
    keys: dict[bytes, list[PublicKey]] = {}
    for number, block in enumerate(blocks, 1):
        identifier, key = _key(block, number)
        keys.setdefault(identifier[-KEY_ID:], []).append(key)
    return Keyring(keys)


def certified_key(certificate: x509.Certificate) -> tuple[bytes, PublicKey]:
    """Return what the key of a certificate goes by, and the key.

    :raises PolicyError: a key that is not taken here.
    :raises: one of :data:`UNREADABLE`: it cannot be read.
    """
    try:
        key = _usable(certificate.public_key())
    except UnsupportedAlgorithm:  # SM2's, as far as we are concerned
        key = load_certificate(certificate.public_bytes(Encoding.DER)).key
    return _stated_identifier(certificate) or key_identifier(key), key


def _key(block: pem.PemBlock, number: int) -> tuple[bytes, PublicKey]:
    try:
        if block.label == "CERTIFICATE":
            return certified_key(x509.load_der_x509_certificate(block.der()))
        key = _usable(decode_spki(block.der()))
        return key_identifier(key), key
    except PolicyError as exc:
        raise PolicyError(f"key {number} of the keyring: {exc.reason}") from None
    except UNREADABLE:
        raise PolicyError(f"key {number} of the keyring cannot be read") from None


def _usable(key: object) -> PublicKey:
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _MIN_RSA_BITS:
        return key
    if isinstance(key, ec.EllipticCurvePublicKey | Sm2PublicKey):
        return key
    raise PolicyError(f"RSA of {_MIN_RSA_BITS} bits or more, EC or SM2")


def _stated_identifier(certificate: x509.Certificate) -> bytes | None:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        return None
    return found.value.digest


def _signed_digest(signature: ImaSignature, fields: ImaFields) -> bytes | None:
    """What the signature must be of, None where it is of another kind than the digest."""
    # Older kernels name SM3 by its size too.
    if signature.algorithm != ("sm3" if fields.algorithm == "sm3-256" else fields.algorithm):
        return None
    if signature.version == 2:
        return fields.digest if fields.kind == "ima" else None
    if fields.kind != "verity":
        return None
    number = next(n for n, name in _ALGORITHMS.items() if name == signature.algorithm)
    record = bytes((_VERITY_DIGSIG, number)) + fields.digest
    return digest_of(signature.algorithm, record)


def _verifies(key: PublicKey, signature: ImaSignature, digest: bytes) -> bool:
    """:raises OpinionsDiffer: two crypto providers are asked of SM2 and do not agree."""
    if isinstance(key, Sm2PublicKey):
        return signature.algorithm == "sm3" and _sm2_verifies(key, signature, digest)
    algorithm = _HASHES.get(signature.algorithm)
    if algorithm is None:
        return False
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature.value, digest, padding.PKCS1v15(), Prehashed(algorithm))
        else:
            key.verify(signature.value, digest, ec.ECDSA(Prehashed(algorithm)))
    except InvalidSignature:
        return False
    return True


def _sm2_verifies(key: Sm2PublicKey, signature: ImaSignature, digest: bytes) -> bool:
    try:
        r, s = decode_dss_signature(signature.value)
    except ValueError:
        return False
    return sm2_verify(key, digest, r, s)
