# SPDX-License-Identifier: Apache-2.0
"""X.509 certificates (RFC 5280) as TPM makers write them, read from their original bytes.

They must satisfy the ``cryptography`` package's strict reader, with three exceptions that are read
here alone: a name whose SET is not in DER order (Nuvoton), defaults that are written out (Intel's
firmware TPMs: ``critical FALSE``), and SM2 keys and signatures (GM/T 0015), which it does not know.
Nothing is ever encoded again: signatures are over what was sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from e2etrust_core.crypto import sm2_verify
from e2etrust_core.crypto.provider import Sm2PublicKey
from e2etrust_core.crypto.sm2_signing import message_digest
from e2etrust_core.evidence import der
from e2etrust_core.evidence.der import DerReader, dotted
from e2etrust_core.evidence.errors import EkCertificateUnreadable
from e2etrust_core.evidence.public_keys import PublicKey, decode_spki, encode_spki

#: What the strict reader stumbles over and is read here all the same.
_LENIENCY = ("InvalidSetOrdering", "EncodedDefault")
_FAULTS = (
    ValueError,
    TypeError,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
    UnsupportedAlgorithm,
)
_SM2_WITH_SM3 = "1.2.156.10197.1.501"
#: RFC 4055, 5 and RFC 5758, 3.2.
_SIGNATURES: dict[str, tuple[str, hashes.HashAlgorithm]] = {
    "1.2.840.113549.1.1.11": ("rsa", hashes.SHA256()),
    "1.2.840.113549.1.1.12": ("rsa", hashes.SHA384()),
    "1.2.840.113549.1.1.13": ("rsa", hashes.SHA512()),
    "1.2.840.10045.4.3.2": ("ecdsa", hashes.SHA256()),
    "1.2.840.10045.4.3.3": ("ecdsa", hashes.SHA384()),
    "1.2.840.10045.4.3.4": ("ecdsa", hashes.SHA512()),
}
_BASIC_CONSTRAINTS, _KEY_USAGE = "2.5.29.19", "2.5.29.15"
_ALTERNATIVE_NAMES = "2.5.29.17"
_EXTENDED_KEY_USAGE = "2.5.29.37"
_KEY_CERT_SIGN = 5


@dataclass(frozen=True, slots=True)
class Certificate:
    """``issuer`` and ``subject`` are names as they stand.

    ``ca`` and ``path_length`` of the basic constraints, ``may_certify`` of the key usage, None
    where there is none; ``critical`` and ``extensions`` the OIDs of critical extensions and of all;
    ``usages`` those of the extended key usage; ``alternative_names`` the subject's GeneralNames as
    they stand, empty where there are none.
    """

    der: bytes
    tbs: bytes
    issuer: bytes
    subject: bytes
    not_before: datetime
    not_after: datetime
    key: PublicKey
    algorithm: str
    signature: bytes
    critical: tuple[str, ...]
    extensions: tuple[str, ...]
    usages: tuple[str, ...] | None
    alternative_names: bytes
    ca: bool
    path_length: int | None
    may_certify: bool | None
    strict: x509.Certificate | None


def load_certificate(data: bytes) -> Certificate:
    """Read DER of one certificate, without anything behind it.

    :raises EkCertificateUnreadable: it is none, or one of a kind that is not read here.
    """
    strict = _strictly(data)
    whole = DerReader(data)
    outer = whole.inside()
    whole.end()
    tbs, body = outer.whole(der.SEQUENCE)
    algorithm, signature = _algorithm(outer), outer.bits()
    outer.end()
    reader = DerReader(body)
    if reader.tag() == 0xA0:
        reader.take(0xA0)
    reader.take(der.INTEGER)
    if _algorithm(reader) != algorithm:
        raise EkCertificateUnreadable("a certificate names two signature algorithms")
    issuer = reader.whole(der.SEQUENCE)[0]
    validity = reader.inside()
    not_before, not_after = _time(validity), _time(validity)
    subject = reader.whole(der.SEQUENCE)[0]
    spki = reader.whole(der.SEQUENCE)[0]
    extensions = _extensions(reader)
    ca, path_length = _basic_constraints(extensions)
    return Certificate(
        data,
        tbs,
        issuer,
        subject,
        not_before,
        not_after,
        decode_spki(spki),
        algorithm,
        signature,
        tuple(oid for oid, (critical, _) in extensions.items() if critical),
        tuple(extensions),
        _usages(extensions),
        extensions.get(_ALTERNATIVE_NAMES, (False, b""))[1],
        ca,
        path_length,
        _may_certify(extensions),
        strict,
    )


def same_key(one: PublicKey, other: PublicKey) -> bool:
    """Whether two keys are one; by what they are, for makers wrap RSA keys in two ways."""
    return encode_spki(one) == encode_spki(other)


def names_issuer(certificate: Certificate, issuer: Certificate) -> bool:
    """Whether *certificate* names *issuer* as the one who made it."""
    if certificate.strict is not None and issuer.strict is not None:
        return certificate.strict.issuer == issuer.strict.subject
    return certificate.issuer == issuer.subject


def is_signed_by(certificate: Certificate, issuer: Certificate) -> bool:
    """Whether *issuer*'s key signed *certificate*.

    :raises OpinionsDiffer: two crypto providers are asked of an SM2 signature and do not agree.
    """
    key = issuer.key
    if isinstance(key, Sm2PublicKey):
        return certificate.algorithm == _SM2_WITH_SM3 and _sm2_signed(certificate, key)
    try:
        if certificate.strict is not None and issuer.strict is not None:
            certificate.strict.verify_directly_issued_by(issuer.strict)
            return True
        return _plainly_signed(certificate, key)
    except (InvalidSignature, *_FAULTS):
        return False


def _plainly_signed(
    certificate: Certificate, key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey
) -> bool:
    scheme, digest = _SIGNATURES.get(certificate.algorithm, ("", hashes.SHA256()))
    if scheme == "rsa" and isinstance(key, rsa.RSAPublicKey):
        key.verify(certificate.signature, certificate.tbs, padding.PKCS1v15(), digest)
    elif scheme == "ecdsa" and isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(certificate.signature, certificate.tbs, ec.ECDSA(digest))
    else:
        return False
    return True


def _sm2_signed(certificate: Certificate, key: Sm2PublicKey) -> bool:
    try:
        numbers = DerReader(certificate.signature).inside()
        r, s = (int.from_bytes(numbers.take(der.INTEGER), "big", signed=True) for _ in range(2))
        numbers.end()
    except EkCertificateUnreadable:
        return False
    return sm2_verify(key, message_digest(key, certificate.tbs), r, s)


def _strictly(data: bytes) -> x509.Certificate | None:
    """Return what the strict reader makes of it, None where the stated leniency is needed."""
    try:
        found = x509.load_der_x509_certificate(data)
        found.extensions, found.issuer, found.subject  # noqa: B018 - parsed lazily
    except _FAULTS as exc:
        if any(fault in str(exc) for fault in _LENIENCY):
            return None
        raise EkCertificateUnreadable("a certificate is no X.509 certificate") from None
    return found


def _algorithm(reader: DerReader) -> str:
    return dotted(reader.inside().take(der.OID))


def _time(reader: DerReader) -> datetime:
    kind = reader.tag()
    text = reader.take(kind if kind == der.GENERALIZED_TIME else der.UTC_TIME).decode("latin-1")
    if kind == der.UTC_TIME:  # RFC 5280, 4.1.2.5.1
        text = ("19" if text[:2] >= "50" else "20") + text
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise EkCertificateUnreadable("a certificate has a time that is none") from None


def _extensions(reader: DerReader) -> dict[str, tuple[bool, bytes]]:
    found: dict[str, tuple[bool, bytes]] = {}
    for tag in (0x81, 0x82):  # unique identifiers
        if reader.tag() == tag:
            reader.take(tag)
    if not reader.more():
        return found
    wrapped = reader.inside(0xA3)
    reader.end()
    entries = wrapped.inside()
    wrapped.end()
    while entries.more():
        entry = entries.inside()
        oid = dotted(entry.take(der.OID))
        critical = _said_so(entry)
        value = entry.take(der.OCTET_STRING)
        entry.end()
        if oid in found:
            raise EkCertificateUnreadable(f"a certificate has two extensions {oid}")
        found[oid] = critical, value
    return found


def _said_so(reader: DerReader) -> bool:
    """Read a BOOLEAN that is false where it is not there."""
    value = reader.take(der.BOOLEAN) if reader.tag() == der.BOOLEAN else b"\0"
    if value not in (b"\0", b"\xff"):
        raise EkCertificateUnreadable("a certificate has a boolean that is neither true nor false")
    return value == b"\xff"


def _basic_constraints(extensions: dict[str, tuple[bool, bytes]]) -> tuple[bool, int | None]:
    if _BASIC_CONSTRAINTS not in extensions:
        return False, None
    reader = DerReader(extensions[_BASIC_CONSTRAINTS][1]).inside()
    ca = _said_so(reader)
    length = int.from_bytes(reader.take(der.INTEGER), "big") if reader.more() else None
    reader.end()
    return ca, length


def _usages(extensions: dict[str, tuple[bool, bytes]]) -> tuple[str, ...] | None:
    if _EXTENDED_KEY_USAGE not in extensions:
        return None
    reader = DerReader(extensions[_EXTENDED_KEY_USAGE][1]).inside()
    found = []
    while reader.more():
        found.append(dotted(reader.take(der.OID)))
    return tuple(found)


def _may_certify(extensions: dict[str, tuple[bool, bytes]]) -> bool | None:
    if _KEY_USAGE not in extensions:
        return None
    bits = DerReader(extensions[_KEY_USAGE][1]).take(der.BIT_STRING)
    return len(bits) > 1 and bool(bits[1] << _KEY_CERT_SIGN & 0x80)
