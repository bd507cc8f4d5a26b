# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from e2etrust_core.evidence import errors
from e2etrust_core.evidence.ek_certificate import verify_ek_certificate
from tests.unit.core.software_tpm import SoftwareTpm
from tests.vectors import vectors

NOW = datetime(2026, 6, 1, tzinfo=UTC)
YEAR = timedelta(days=365)
TPM = SoftwareTpm()


class Authority:
    def __init__(self, name, issuer=None, ca=True, length=None, cert_sign=True, start=NOW - YEAR):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signer = issuer or self
        usage = x509.KeyUsage(not cert_sign, *[False] * 4, cert_sign, False, False, False)
        self.certificate = (
            x509.CertificateBuilder(signer.name, self.name, self.key.public_key(), 1)
            .not_valid_before(start)
            .not_valid_after(start + 2 * YEAR)
            .add_extension(x509.BasicConstraints(ca, length if ca else None), True)
            .add_extension(usage, True)
            .sign(signer.key, hashes.SHA256())
        )

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


ROOT = Authority("root")
MIDDLE = Authority("middle", ROOT, length=0)


def certify(issuer, key=None, start=NOW - YEAR, extra=None, ca=False) -> bytes:
    vendor = x509.Name([x509.NameAttribute(x509.ObjectIdentifier("2.23.133.2.1"), "id:00001014")])
    builder = (
        x509.CertificateBuilder(issuer.name, x509.Name([]), (key or TPM.ek).public_key(), 2)
        .not_valid_before(start)
        .not_valid_after(start + 2 * YEAR)
        .add_extension(x509.SubjectAlternativeName([x509.DirectoryName(vendor)]), True)
        .add_extension(x509.BasicConstraints(ca, None), True)
    )
    if extra is not None:
        builder = builder.add_extension(extra, True)
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)


def refused(kind, certificate, bundle=ROOT.pem + MIDDLE.pem, ek_public=TPM.ek_public, now=NOW):
    with pytest.raises(kind) as caught:
        verify_ek_certificate(certificate, ek_public, bundle, now)
    assert type(caught.value) is kind
    assert caught.value.remedy


def test_chain_over_an_intermediate_to_a_root_holds():
    assert (
        len(verify_ek_certificate(certify(MIDDLE), TPM.ek_public, ROOT.pem + MIDDLE.pem, NOW)) == 64
    )


def test_padding_of_the_nv_area_is_cut_off():
    for pad in (b"\xff" * 431, bytes(100)):
        verify_ek_certificate(certify(ROOT) + pad, TPM.ek_public, ROOT.pem, NOW)


def test_no_certificate_is_named():
    refused(errors.EkCertificateAbsent, None)
    refused(errors.EkCertificateAbsent, b"")


@pytest.mark.parametrize("junk", [b"0", b"junk", bytes(300), b"0\x82\1\0" + bytes(256)])
def test_unreadable_certificate_is_named(junk):
    refused(errors.EkCertificateUnreadable, junk)


def test_foreign_bytes_behind_the_certificate_are_refused():
    refused(errors.EkCertificateUnreadable, certify(ROOT) + b"evil")


def test_cve_2021_3406_certificate_of_another_key_is_refused():
    refused(errors.EkCertificateForeign, certify(MIDDLE, key=SoftwareTpm().ek))


def test_missing_issuer_is_named():
    refused(errors.EkIssuerUnknown, certify(MIDDLE), bundle=ROOT.pem)
    refused(errors.EkIssuerUnknown, certify(MIDDLE), bundle=MIDDLE.pem)
    refused(errors.EkIssuerUnknown, certify(MIDDLE), bundle=b"")
    refused(errors.EkIssuerUnknown, certify(MIDDLE), bundle=b"not pem")


def test_issuer_of_the_same_name_with_another_key_is_refused():
    refused(errors.EkIssuerUnknown, certify(Authority("root")), bundle=ROOT.pem)


def test_self_made_certificate_is_refused():
    fake = Authority("fake")
    refused(errors.EkIssuerUnknown, certify(fake))


@pytest.mark.parametrize("now", [NOW - 2 * YEAR, NOW + 2 * YEAR])
def test_certificate_that_is_not_valid_now_is_named(now):
    refused(errors.EkCertificateExpired, certify(MIDDLE), now=now)


def test_expired_intermediate_is_named():
    old = Authority("old", ROOT, start=NOW - 4 * YEAR)
    refused(errors.EkCertificateExpired, certify(old), bundle=ROOT.pem + old.pem)


def test_issuer_that_is_no_authority_is_refused():
    for leaf in (Authority("leaf", ROOT, ca=False), Authority("leaf", ROOT, cert_sign=False)):
        refused(errors.EkIssuerUnknown, certify(leaf), bundle=ROOT.pem + leaf.pem)


def test_path_length_is_kept():
    below = Authority("below", MIDDLE)
    refused(errors.EkIssuerUnknown, certify(below), bundle=ROOT.pem + MIDDLE.pem + below.pem)


def test_unknown_critical_extension_is_refused():
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0")
    refused(errors.EkCertificateUnreadable, certify(MIDDLE, extra=odd))


def test_certificate_of_an_authority_is_no_ek_certificate():
    refused(errors.EkCertificateUnreadable, certify(MIDDLE, ca=True))


def test_unreadable_neighbour_in_the_bundle_vouches_for_nobody_and_harms_nobody():
    broken = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    verify_ek_certificate(certify(ROOT), TPM.ek_public, broken + ROOT.pem, NOW)


def test_captured_certificates_of_a_tpm_chain():
    home = vectors("ovmf-plain")
    bundle = b"".join(
        (home.parent / name).read_bytes()
        for name in ("issuercert.pem", "swtpm-localca-rootca-cert.pem")
    )
    certificate = (home / "ekcert_rsa.der").read_bytes()
    now = datetime(2027, 1, 1, tzinfo=UTC)
    verify_ek_certificate(certificate, (home / "ek_rsa.pub").read_bytes()[2:], bundle, now)
    # The ECC certificate is of the P-384 EK (template H-3), the EK kept here is P-256 (L-2).
    with pytest.raises(errors.EkCertificateForeign):
        verify_ek_certificate(
            (home / "ekcert_ecc.der").read_bytes(),
            (home / "ek_ecc.pub").read_bytes()[2:],
            bundle,
            now,
        )
