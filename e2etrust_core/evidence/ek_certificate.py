# SPDX-License-Identifier: Apache-2.0
"""Is an endorsement key vouched for by a TPM vendor that the operator trusts?

TCG EK Credential Profile 2.5; RFC 5280 path rules as far as EK certificates need them.  They
cannot go through a TLS-minded path builder: their subjectAltName is critical and holds TPM vendor
names (2.23.133.2.x), their subject may be empty, and some vendors' DER is not quite DER.
"""

from __future__ import annotations

import re
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID

from e2etrust_core.crypto.provider import Sm2PublicKey
from e2etrust_core.evidence.errors import (
    EkCertificateAbsent,
    EkCertificateExpired,
    EkCertificateForeign,
    EkCertificateUnreadable,
    EkCertificateUnsupported,
    EkIssuerUnknown,
)
from e2etrust_core.evidence.tpm_structures import decode_public, key_of, public_key_of

_MAX_CERTIFICATE = 8192
_MAX_DEPTH = 6
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
#: Critical extensions that are understood here (subjectAltName names the TPM, not a machine).
_UNDERSTOOD = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.CERTIFICATE_POLICIES,
}
_FAULTS = (ValueError, TypeError, x509.DuplicateExtension, UnsupportedAlgorithm)


def verify_ek_certificate(
    certificate: bytes | None, ek_public: bytes, ca_bundle: bytes, now: datetime
) -> str:
    """Check that *certificate* is of *ek_public* and chains to a root in *ca_bundle*.

    Return the certificate's SHA-256 fingerprint (hex).

    :param certificate: DER; bytes behind its end (a TPM's NV area is padded) are cut off.
    :param ek_public: TPMT_PUBLIC as the host sent it; its key must be the certificate's
        (CVE-2021-3406).
    :param ca_bundle: PEM, roots and intermediates; a self-signed certificate in it is a root.
    :param now: with a time zone.
    :raises EkCertificateAbsent: there is none.
    :raises EkCertificateUnreadable: no certificate, or one with a critical extension unknown.
    :raises EkCertificateForeign: of another key.
    :raises EkCertificateUnsupported: of a key whose certificates are not read.
    :raises EkIssuerUnknown: no chain to a root in the bundle, or the bundle is empty.
    :raises EkCertificateExpired: it, or one above it, is not valid at *now*.
    :raises StructureError: *ek_public* is no public area.
    """
    if not certificate:
        raise EkCertificateAbsent("the host's TPM has no endorsement key certificate")
    ek = decode_public(ek_public)
    if isinstance(public_key_of(ek), Sm2PublicKey):
        raise EkCertificateUnsupported("certificates of SM2 endorsement keys are not read here")
    leaf = _load(certificate)
    if _spki(leaf) != key_of(ek).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo):
        raise EkCertificateForeign("the EK certificate is of another key than the host's EK")
    _check_leaf(leaf)
    bundle = _bundle(ca_bundle)
    try:
        _climb(leaf, bundle, now, _MAX_DEPTH)
    except _FAULTS:
        raise EkCertificateUnreadable("a certificate above the EK's cannot be read") from None
    return leaf.fingerprint(hashes.SHA256()).hex()


def read_ek_certificate(certificate: bytes) -> x509.Certificate:
    """Return the certificate, of which nothing is verified.

    :param certificate: DER; bytes behind its end (a TPM's NV area is padded) are cut off.
    :raises EkCertificateUnreadable: it is none.
    """
    return _load(certificate)


def _load(certificate: bytes) -> x509.Certificate:
    if len(certificate) > _MAX_CERTIFICATE:
        raise EkCertificateUnreadable(f"an EK certificate of {len(certificate)} bytes")
    try:
        leaf = x509.load_der_x509_certificate(_cut(certificate))
        _spki(leaf)
        leaf.extensions  # noqa: B018 - parsed lazily: faults must show here
        leaf.not_valid_before_utc  # noqa: B018
    except _FAULTS:
        raise EkCertificateUnreadable("the EK certificate is no X.509 certificate") from None
    return leaf


def _cut(data: bytes) -> bytes:
    """Return the first DER SEQUENCE of *data*: NV areas are padded with 0xff or zeros."""
    if len(data) < 4 or data[0] != 0x30 or data[1] not in (0x81, 0x82):
        raise EkCertificateUnreadable("the EK certificate is not DER")
    octets = data[1] & 0x7F
    size = 2 + octets + int.from_bytes(data[2 : 2 + octets], "big")
    if size > len(data):
        raise EkCertificateUnreadable("the EK certificate is cut off")
    if data[size:].strip(b"\xff").strip(b"\0"):
        raise EkCertificateUnreadable("the EK certificate has foreign bytes behind it")
    return data[:size]


def _spki(certificate: x509.Certificate) -> bytes:
    # Vendors write RSA keys under id-RSAES-OAEP too, so keys are compared, not their wrapping.
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _check_leaf(leaf: x509.Certificate) -> None:
    for extension in leaf.extensions:
        if extension.critical and extension.oid not in _UNDERSTOOD:
            raise EkCertificateUnreadable(
                f"the EK certificate has a critical extension {extension.oid.dotted_string}"
            )
        if isinstance(extension.value, x509.BasicConstraints) and extension.value.ca:
            raise EkCertificateUnreadable("the EK certificate is that of an authority")


def _bundle(pem: bytes) -> list[x509.Certificate]:
    if not pem.strip():
        raise EkIssuerUnknown("no certificate authority for endorsement keys is configured")
    found = [one for block in _PEM.findall(pem) if (one := _authority(block)) is not None]
    if not found:
        raise EkIssuerUnknown(
            "the bundle of EK authorities holds no readable certificate",
            remedy="check the file that ek_ca_bundle names: PEM certificates",
        )
    return found


def _authority(pem: bytes) -> x509.Certificate | None:
    # Vendors' lists hold certificates that strict readers refuse: such a one vouches for nobody,
    # and must not take the others down with it.
    try:
        found = x509.load_pem_x509_certificate(pem)
        found.public_key(), found.extensions  # noqa: B018 - parsed lazily: faults must show here
    except _FAULTS:
        return None
    return found


def _climb(
    certificate: x509.Certificate, bundle: list[x509.Certificate], now: datetime, depth: int
) -> None:
    """Climb from *certificate* to a root, over every issuer that signed it."""
    _check_valid(certificate, now)
    if depth == 0:
        raise EkIssuerUnknown("the EK certificate's chain is too long")
    fault: EkIssuerUnknown | EkCertificateExpired = EkIssuerUnknown(
        "no authority in the bundle issued the EK certificate"
    )
    for issuer in bundle:
        if not _issued(certificate, issuer, _MAX_DEPTH - depth):
            continue
        try:
            if issuer.issuer == issuer.subject and _signed_by(issuer, issuer):
                _check_valid(issuer, now)
            else:
                _climb(issuer, bundle, now, depth - 1)
        except (EkIssuerUnknown, EkCertificateExpired) as exc:
            fault = exc
        else:
            return
    raise fault


def _issued(certificate: x509.Certificate, issuer: x509.Certificate, between: int) -> bool:
    """*between*: how many authorities stand between *issuer* and the EK certificate."""
    if certificate.issuer != issuer.subject or not _may_issue(issuer, between):
        return False
    return _signed_by(certificate, issuer)


def _may_issue(issuer: x509.Certificate, between: int) -> bool:
    try:
        basic = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return False
    if not basic.ca or (basic.path_length is not None and basic.path_length < between):
        return False
    try:
        return issuer.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        return True


def _signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, *_FAULTS):
        return False
    return True


def _check_valid(certificate: x509.Certificate, now: datetime) -> None:
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise EkCertificateExpired("a certificate in the EK's chain is not valid at this time")
