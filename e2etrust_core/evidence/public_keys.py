# SPDX-License-Identifier: Apache-2.0
"""Public keys as certificates carry them (SubjectPublicKeyInfo, RFC 5280, 4.1), SM2's among them.

SM2 keys (GM/T 0015: id-ecPublicKey on the SM2 curve) are read here alone: the ``cryptography``
package does not know the curve.
"""

from __future__ import annotations

import hashlib

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from e2etrust_core.crypto.provider import PointWrong, Sm2PublicKey
from e2etrust_core.evidence import der
from e2etrust_core.evidence.der import DerReader, dotted
from e2etrust_core.evidence.errors import EkCertificateUnreadable

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | Sm2PublicKey

#: RFC 4055, 4.1: some makers say so of a key that only ever decrypts.
_RSAES_OAEP = "1.2.840.113549.1.1.7"
_RSA_ALGORITHM = bytes.fromhex("300d06092a864886f70d0101010500")
_EC_KEY, _SM2_CURVE = "1.2.840.10045.2.1", "1.2.156.10197.1.301"
_SM2_ALGORITHM = bytes.fromhex("301306072a8648ce3d020106082a811ccf5501822d")


def decode_spki(spki: bytes) -> PublicKey:
    """:raises EkCertificateUnreadable: it is none, or of a kind that is not read here."""
    reader = DerReader(spki)
    whole = reader.inside()
    reader.end()
    algorithm = whole.inside()
    kind = dotted(algorithm.take(der.OID))
    curve = dotted(algorithm.take(der.OID)) if algorithm.tag() == der.OID else ""
    if (kind, curve) == (_EC_KEY, _SM2_CURVE):
        return _sm2_key(whole.bits())
    try:
        key = load_der_public_key(_as_plain_rsa(whole.bits()) if kind == _RSAES_OAEP else spki)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise EkCertificateUnreadable("a certificate's key cannot be read") from None
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise EkCertificateUnreadable("a certificate is of a key that no TPM has")
    return key


def encode_spki(key: PublicKey) -> bytes:
    """Return the one form of *key*, whichever way its certificate wrapped it."""
    if isinstance(key, Sm2PublicKey):
        body = _SM2_ALGORITHM + der.element(der.BIT_STRING, b"\0" + _point(key))
        return der.element(der.SEQUENCE, body)
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def key_identifier(key: PublicKey) -> bytes:
    """Return the SHA-1 of the key's bits (RFC 5280, 4.2.1.2, method 1)."""
    if isinstance(key, Sm2PublicKey):
        return hashlib.sha1(_point(key), usedforsecurity=False).digest()
    return x509.SubjectKeyIdentifier.from_public_key(key).digest


def _as_plain_rsa(key: bytes) -> bytes:
    """Return the SubjectPublicKeyInfo of an RSAPublicKey (RFC 8017, A.1.1) without a scheme."""
    body = _RSA_ALGORITHM + der.element(der.BIT_STRING, b"\0" + key)
    return der.element(der.SEQUENCE, body)


def _sm2_key(point: bytes) -> Sm2PublicKey:
    if len(point) != 65 or point[0] != 4:
        raise EkCertificateUnreadable("a certificate's SM2 key is no point")
    try:
        return Sm2PublicKey(*(int.from_bytes(one, "big") for one in (point[1:33], point[33:])))
    except PointWrong as exc:
        raise EkCertificateUnreadable(f"a certificate's key: {exc.reason}") from None


def _point(key: Sm2PublicKey) -> bytes:
    return b"\4" + key.x.to_bytes(32, "big") + key.y.to_bytes(32, "big")
