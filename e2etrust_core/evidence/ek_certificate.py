# SPDX-License-Identifier: Apache-2.0
"""Is an endorsement key vouched for by a TPM vendor that the operator trusts?

TCG EK Credential Profile 2.5; RFC 5280 path rules as far as EK certificates need them.  They
cannot go through a TLS-minded path builder: their subjectAltName is critical and holds TPM vendor
names (2.23.133.2.x), their subject may be empty, and some vendors' DER is not quite DER.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

from e2etrust_core.evidence import pem
from e2etrust_core.evidence.certificate import (
    Certificate,
    is_signed_by,
    load_certificate,
    names_issuer,
    same_key,
)
from e2etrust_core.evidence.der import OCTET_STRING, SEQUENCE, DerReader
from e2etrust_core.evidence.ek_chain import read_ek_chain
from e2etrust_core.evidence.errors import (
    EkCertificateAbsent,
    EkCertificateExpired,
    EkCertificateForeign,
    EkCertificateUnreadable,
    EkIssuerUnknown,
)
from e2etrust_core.evidence.tpm_structures import decode_public, public_key_of

_MAX_CERTIFICATE = 8192
_MAX_DEPTH = 6
#: Critical extensions that are understood here (subjectAltName names the TPM, not a machine).
_UNDERSTOOD = {
    "2.5.29.19",  # basicConstraints
    "2.5.29.15",  # keyUsage
    "2.5.29.37",  # extKeyUsage
    "2.5.29.17",  # subjectAltName
    "2.5.29.32",  # certificatePolicies
}
#: Extensions that restrict what an authority may vouch for, critical or not, and that are not
#: evaluated here: such an authority is not one that is trusted by half.
_RESTRICTIONS = {
    "2.5.29.30",  # nameConstraints
    "2.5.29.36",  # policyConstraints
    "2.5.29.54",  # inhibitAnyPolicy
}
#: tcg-kp-EKCertificate (EK Credential Profile, 3.2.16), anyExtendedKeyUsage (RFC 5280, 4.2.1.12).
_EK_USAGE, _ANY_USAGE = "2.23.133.8.1", "2.5.29.37.0"
_AUTHORITY_ACCESS = "1.3.6.1.5.5.7.1.1"


def verify_ek_certificate(
    certificate: bytes | None,
    ek_public: bytes,
    ca_bundle: bytes,
    now: datetime,
    chain: bytes = b"",
) -> str:
    """Check that *certificate* is of *ek_public* and chains to a root in *ca_bundle*.

    Return the certificate's SHA-256 fingerprint (hex).

    :param certificate: DER; bytes behind its end (a TPM's NV area is padded) are cut off.
    :param ek_public: TPMT_PUBLIC as the host sent it; its key must be the certificate's
        (CVE-2021-3406).
    :param ca_bundle: PEM, roots and intermediates; a self-signed certificate in it is a root.
    :param now: with a time zone.
    :param chain: what the TPM carries in the indices for it (:mod:`.ek_chain`): more intermediates,
        and never a root.
    :raises EkCertificateAbsent: there is none.
    :raises EkCertificateUnreadable: no certificate, or one with a critical extension unknown.
    :raises EkCertificateForeign: of another key.
    :raises EkIssuerUnknown: no chain to a root in the bundle, or the bundle is empty.
    :raises EkChainUnreadable: likewise, and some of *chain* cannot be read.
    :raises EkCertificateExpired: it, or one above it, is not valid at *now*.
    :raises StructureError: *ek_public* is no public area.
    """
    if not certificate:
        raise EkCertificateAbsent("the host's TPM has no endorsement key certificate")
    leaf = _load(certificate)
    if not same_key(leaf.key, public_key_of(decode_public(ek_public))):
        raise EkCertificateForeign("the EK certificate is of another key than the host's EK")
    _check_leaf(leaf)
    carried = read_ek_chain(chain)
    try:
        _climb(leaf, _bundle(ca_bundle), carried.certificates, now)
    except EkIssuerUnknown:
        if carried.fault is not None:
            raise carried.fault from None
        raise
    return hashlib.sha256(leaf.der).hexdigest()


def read_ek_certificate(certificate: bytes) -> Certificate:
    """Return the certificate, of which nothing is verified.

    :param certificate: DER; bytes behind its end (a TPM's NV area is padded) are cut off.
    :raises EkCertificateUnreadable: it is none.
    """
    return _load(certificate)


def read_ek_certificate_file(data: bytes) -> Certificate:
    """Return the one certificate of an EK in a file: DER as a TPM has it, or PEM.

    It is of an EK by what it says of its use; nobody is asked whether that is true.

    :raises EkCertificateUnreadable: it is none, there are several, or it is for another use.
    """
    blocks = _certificates(data)
    if len(blocks) > 1:
        raise EkCertificateUnreadable(f"the file holds {len(blocks)} certificates, not one")
    try:
        leaf = _load(blocks[0].der() if blocks else data)
    except ValueError:
        raise EkCertificateUnreadable("the file is no PEM") from None
    _check_leaf(leaf)
    return leaf


def _load(certificate: bytes) -> Certificate:
    if len(certificate) > _MAX_CERTIFICATE:
        raise EkCertificateUnreadable(f"an EK certificate of {len(certificate)} bytes")
    return load_certificate(_cut(certificate))


def _cut(data: bytes) -> bytes:
    """Return the first DER SEQUENCE of *data*: NV areas are filled up with 0xff, zeros or another
    byte over and over.

    Some makers have it within an OCTET STRING.
    """
    reader = DerReader(data)
    wrapped = reader.tag() == OCTET_STRING
    found, content = reader.whole(OCTET_STRING if wrapped else SEQUENCE)
    if len(set(data[len(found) :].strip(b"\xff\0"))) > 1:
        raise EkCertificateUnreadable("the EK certificate has foreign bytes behind it")
    return content if wrapped else found


def _check_leaf(leaf: Certificate) -> None:
    for oid in leaf.critical:
        if oid not in _UNDERSTOOD:
            raise EkCertificateUnreadable(f"the EK certificate has a critical extension {oid}")
    if not _is_for_eks(leaf):
        raise EkCertificateUnreadable("the EK certificate is for another use than that of an EK")
    if leaf.ca:
        raise EkCertificateUnreadable("the EK certificate is that of an authority")


def _is_for_eks(certificate: Certificate) -> bool:
    """Whether its extended key usage, where it has one, allows endorsement keys."""
    usages = certificate.usages
    return usages is None or _EK_USAGE in usages or _ANY_USAGE in usages


def _certificates(data: bytes) -> list[pem.PemBlock]:
    return [block for block in pem.blocks(data) if block.label == "CERTIFICATE"]


def _bundle(data: bytes) -> list[Certificate]:
    if not data.strip():
        raise EkIssuerUnknown("no certificate authority for endorsement keys is configured")
    found = [one for block in _certificates(data) if (one := _authority(block)) is not None]
    if not found:
        raise EkIssuerUnknown(
            "the bundle of EK authorities holds no readable certificate",
            remedy="check the file that ek_ca_bundle names: PEM certificates",
        )
    return found


def _authority(block: pem.PemBlock) -> Certificate | None:
    # Vendors' lists hold certificates that cannot be read: such a one vouches for nobody, and
    # must not take the others down with it.
    try:
        return load_certificate(block.der())
    except (EkCertificateUnreadable, ValueError):
        return None


def _climb(
    leaf: Certificate, bundle: list[Certificate], carried: tuple[Certificate, ...], now: datetime
) -> None:
    """Climb from *leaf* to a root of *bundle*, over every issuer that signed what is below it.

    Level by level: each certificate is then met where fewest stand below it, and looked at once, so
    that certificates that vouch for each other in a circle, or for very many, cost nothing.
    """
    _check_valid(leaf, now)
    trusted = {one.der for one in bundle}
    above = {one.der: one for one in (*bundle, *carried)}
    fault: EkIssuerUnknown | EkCertificateExpired = _no_issuer(leaf, carried)
    level = [leaf]
    for between in range(_MAX_DEPTH):
        issuers = [one for one in above.values() if any(_issued(c, one, between) for c in level)]
        level = []
        for issuer in issuers:
            del above[issuer.der]
            try:
                _check_valid(issuer, now)
            except EkCertificateExpired as exc:
                fault = exc
                continue
            if not _is_self_signed(issuer):
                level.append(issuer)
            elif issuer.der in trusted:
                return
    if level:
        raise EkIssuerUnknown("the EK certificate's chain is too long")
    raise fault


def _is_self_signed(certificate: Certificate) -> bool:
    return names_issuer(certificate, certificate) and is_signed_by(certificate, certificate)


def _no_issuer(leaf: Certificate, carried: tuple[Certificate, ...]) -> EkIssuerUnknown:
    reason = "no authority in the bundle issued the EK certificate"
    if carried:
        reason += f", nor one of the {len(carried)} that the TPM carries and the bundle vouches for"
    if _AUTHORITY_ACCESS not in leaf.extensions:
        return EkIssuerUnknown(reason)
    # The address comes from the host: it is neither fetched nor repeated.
    return EkIssuerUnknown(
        reason,
        remedy="get the certificate of its issuer from the TPM's maker and add it to ek_ca_bundle;"
        " the certificate names an address for it, which is never fetched from here",
    )


def _issued(certificate: Certificate, issuer: Certificate, between: int) -> bool:
    """*between*: how many authorities stand between *issuer* and the EK certificate."""
    if not names_issuer(certificate, issuer) or not _may_issue(issuer, between):
        return False
    return is_signed_by(certificate, issuer)


def _may_issue(issuer: Certificate, between: int) -> bool:
    if not _RESTRICTIONS.isdisjoint(issuer.extensions) or not _UNDERSTOOD.issuperset(
        issuer.critical
    ):
        return False
    if (
        not issuer.ca
        or not _is_for_eks(issuer)
        or (issuer.path_length is not None and issuer.path_length < between)
    ):
        return False
    return issuer.may_certify is not False


def _check_valid(certificate: Certificate, now: datetime) -> None:
    if not certificate.not_before <= now <= certificate.not_after:
        raise EkCertificateExpired("a certificate in the EK's chain is not valid at this time")
