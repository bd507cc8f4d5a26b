# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from e2etrust_core.crypto import Sm2PublicKey
from e2etrust_core.evidence import errors
from e2etrust_core.evidence.certificate import (
    Certificate,
    is_signed_by,
    load_certificate,
    names_issuer,
)
from e2etrust_core.evidence.der import DerReader, element
from e2etrust_core.evidence.ek_certificate import verify_ek_certificate
from e2etrust_core.evidence.tpm_bytes import sized, uint
from tests.unit.core.software_tpm import EK_ATTRIBUTES, NULL, SHA256, SoftwareTpm
from tests.vectors import vectors

NOW = datetime(2026, 6, 1, tzinfo=UTC)
YEAR = timedelta(days=365)
TPM = SoftwareTpm()
SM2_SIGN = "-sm3 -sigopt distid:1234567812345678"


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
    for pad in (b"\xff" * 431, bytes(100), b"\x11" * 192, b"\n"):
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


TCG_EK = x509.ObjectIdentifier("2.23.133.8.1")
SERVER = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.1")


def test_extended_key_usage_where_there_is_one_is_that_of_an_ek():
    for usages in ([TCG_EK], [SERVER, TCG_EK], [x509.ObjectIdentifier("2.5.29.37.0")]):
        good = certify(ROOT, extra=x509.ExtendedKeyUsage(usages))
        verify_ek_certificate(good, TPM.ek_public, ROOT.pem, NOW)
    web = certify(ROOT, extra=x509.ExtendedKeyUsage([SERVER]))
    refused(errors.EkCertificateUnreadable, web, ROOT.pem)


def restricted(*extensions: tuple[x509.ExtensionType, bool]) -> Authority:
    """Return an authority below the root that has these extensions as well."""
    made = Authority("restricted", ROOT)
    builder = x509.CertificateBuilder(ROOT.name, made.name, made.key.public_key(), 3)
    builder = builder.not_valid_before(NOW - YEAR).not_valid_after(NOW + YEAR)
    builder = builder.add_extension(x509.BasicConstraints(True, None), True)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    made.certificate = builder.sign(ROOT.key, hashes.SHA256())
    return made


NAMES = x509.NameConstraints([x509.DNSName("example.org")], None)
ODD = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0")


@pytest.mark.parametrize(
    ("extension", "critical", "holds"),
    [
        (NAMES, True, False),
        (NAMES, False, False),
        (x509.PolicyConstraints(0, None), True, False),
        (ODD, True, False),
        (ODD, False, True),
        (x509.ExtendedKeyUsage([SERVER]), False, False),
        (x509.ExtendedKeyUsage([TCG_EK]), False, True),
    ],
    ids=lambda part: type(part).__name__,
)
def test_authority_with_a_restriction_that_is_not_evaluated_vouches_for_nobody(
    extension, critical, holds
):
    issuer = restricted((extension, critical))
    certificate = certify(issuer)
    if holds:
        verify_ek_certificate(certificate, TPM.ek_public, ROOT.pem + issuer.pem, NOW)
    else:
        refused(errors.EkIssuerUnknown, certificate, ROOT.pem + issuer.pem)


def test_issuer_that_a_certificate_names_an_address_of_is_not_fetched_but_told():
    place = x509.UniformResourceIdentifier("http://127.0.0.1:9/issuer.crt")
    access = x509.AccessDescription(x509.oid.AuthorityInformationAccessOID.CA_ISSUERS, place)
    builder = x509.CertificateBuilder(MIDDLE.name, x509.Name([]), TPM.ek.public_key(), 2)
    builder = builder.not_valid_before(NOW - YEAR).not_valid_after(NOW + YEAR)
    builder = builder.add_extension(x509.AuthorityInformationAccess([access]), False)
    made = builder.sign(MIDDLE.key, hashes.SHA256()).public_bytes(Encoding.DER)
    with pytest.raises(errors.EkIssuerUnknown) as caught:
        verify_ek_certificate(made, TPM.ek_public, ROOT.pem, NOW)
    assert "never fetched" in caught.value.remedy
    assert "127.0.0.1" not in str(caught.value) + caught.value.remedy
    verify_ek_certificate(made, TPM.ek_public, ROOT.pem + MIDDLE.pem, NOW)


RSA_EK = rsa.generate_private_key(65537, 2048)


def with_oaep_key(certificate: bytes) -> bytes:
    """Return it with id-RSAES-OAEP for its key's algorithm, signed anew by the root."""
    plain = bytes.fromhex("06092a864886f70d010101")
    tbs = x509.load_der_x509_certificate(certificate).tbs_certificate_bytes
    altered = tbs.replace(plain, plain[:-1] + b"\x07", 1)
    assert altered != tbs
    signature = ROOT.key.sign(altered, ec.ECDSA(hashes.SHA256()))
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    body = altered + algorithm + element(3, b"\0" + signature)
    return element(0x30, body)


def test_rsa_key_that_is_marked_for_oaep_is_the_same_key():
    made = with_oaep_key(certify(ROOT, key=RSA_EK))
    ek = ek_of(certify(ROOT, key=RSA_EK))
    verify_ek_certificate(made, ek, ROOT.pem, NOW)
    refused(errors.EkCertificateForeign, made, ROOT.pem)


def certify_with(*extensions: bytes) -> bytes:
    """Return a certificate by ROOT of which these are the extensions behind subjectAltName."""
    reader = DerReader(load_certificate(certify(ROOT)).tbs).inside()
    parts = []
    while reader.more():
        parts.append(reader.whole(reader.tag())[0])
    names = DerReader(parts[-1]).inside(0xA3).inside().whole(0x30)[0]
    parts[-1] = element(0xA3, element(0x30, names + b"".join(extensions)))
    tbs, algorithm = element(0x30, b"".join(parts)), parts[2]
    signature = ROOT.key.sign(tbs, ec.ECDSA(hashes.SHA256()))
    return element(0x30, tbs + algorithm + element(0x03, b"\0" + signature))


#: basicConstraints and extKeyUsage as Intel's firmware TPMs have them: FALSE is written out.
NO_AUTHORITY = bytes.fromhex("300f0603551d130101ff040530030101" + "00")
FOR_EKS = bytes.fromhex("30130603551d25010100040930070605678105" + "0801")


def test_defaults_that_are_written_out_as_intel_does_are_read():
    certificate = certify_with(NO_AUTHORITY, FOR_EKS)
    with pytest.raises(ValueError, match="EncodedDefault"):
        x509.load_der_x509_certificate(certificate).extensions  # noqa: B018
    verify_ek_certificate(certificate, TPM.ek_public, ROOT.pem, NOW)
    at = certificate.index(b"id:0000")
    altered = certificate[:at] + b"id:0001" + certificate[at + 7 :]
    refused(errors.EkIssuerUnknown, altered, bundle=ROOT.pem)


def test_what_is_neither_true_nor_false_is_not_taken_for_either():
    """Behind a fault that is read in spite of, nothing else is."""
    critical = FOR_EKS.replace(b"\x01\x01\x00", b"\x01\x01\x01")
    authority = NO_AUTHORITY.replace(b"\x30\x03\x01\x01\x00", b"\x30\x03\x01\x01\x01")
    for certificate in (certify_with(NO_AUTHORITY, critical), certify_with(FOR_EKS, authority)):
        refused(errors.EkCertificateUnreadable, certificate, bundle=ROOT.pem)


def test_certificate_within_an_octet_string_is_read():
    wrapped = element(0x04, certify(ROOT))
    for area in (wrapped, wrapped + b"\xff" * 9):
        verify_ek_certificate(area, TPM.ek_public, ROOT.pem, NOW)
    refused(errors.EkCertificateUnreadable, element(0x04, certify(ROOT) + b"\xff"))
    refused(errors.EkCertificateUnreadable, wrapped + b"evil")


def test_negative_serial_number_as_some_makers_have_it_is_read():
    serial = bytes.fromhex("02010230")
    made = certify(ROOT)
    tbs = x509.load_der_x509_certificate(made).tbs_certificate_bytes
    altered = tbs.replace(serial, bytes.fromhex("0201fe30"), 1)
    signature = ROOT.key.sign(altered, ec.ECDSA(hashes.SHA256()))
    body = altered + bytes.fromhex("300a06082a8648ce3d040302") + element(3, b"\0" + signature)
    verify_ek_certificate(element(0x30, body), TPM.ek_public, ROOT.pem, NOW)


def openssl_verifies(folder: Path, certificate: bytes, *authorities: Authority) -> bool:
    """The independent opinion; -ignore_critical: it does not know names of TPMs as a subject."""
    (folder / "leaf.pem").write_bytes(
        x509.load_der_x509_certificate(certificate).public_bytes(Encoding.PEM)
    )
    (folder / "root.pem").write_bytes(ROOT.pem)
    (folder / "more.pem").write_bytes(b"".join(one.pem for one in authorities))
    words = ["-CAfile", "root.pem", "-untrusted", "more.pem", "-attime", str(int(NOW.timestamp()))]
    done = subprocess.run(
        ["openssl", "verify", *words, "leaf.pem"], cwd=folder, capture_output=True, check=False
    )
    return done.returncode == 0


def test_openssl_verify_agrees_on_every_chain(tmp_path):
    old = Authority("old", ROOT, start=NOW - 4 * YEAR)
    below = Authority("below", MIDDLE)
    unfit = [Authority("leaf", ROOT, ca=False), Authority("leaf", ROOT, cert_sign=False)]
    odd = restricted((ODD, True))
    chains = [(certify(MIDDLE), (MIDDLE,)), (certify(MIDDLE), ()), (certify(old), (old,))]
    chains += [(certify(one), (one,)) for one in (*unfit, odd)]
    chains += [(certify(below), (MIDDLE, below)), (certify(Authority("root")), ())]
    chains += [
        (certify(MIDDLE, start=NOW + YEAR), (MIDDLE,)),
        (certify(MIDDLE, extra=ODD), (MIDDLE,)),
    ]
    answers = []
    for certificate, authorities in chains:
        bundle = ROOT.pem + b"".join(one.pem for one in authorities)
        try:
            verify_ek_certificate(certificate, TPM.ek_public, bundle, NOW)
            ours = True
        except errors.EkCertificateError:
            ours = False
        assert openssl_verifies(tmp_path, certificate, *authorities) is ours
        answers.append(ours)
    assert answers == [True] + [False] * (len(chains) - 1)


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


def ek_of(certificate: bytes) -> bytes:
    """Return the TPMT_PUBLIC of an EK with that certificate's key."""
    key = load_certificate(certificate).key
    head = SHA256 + uint(EK_ATTRIBUTES, 4) + sized(b"")
    aes = uint(0x0006, 2) + uint(128, 2) + uint(0x0043, 2)
    if isinstance(key, rsa.RSAPublicKey):
        modulus = key.public_numbers().n.to_bytes(256, "big")
        return uint(1, 2) + head + aes + NULL + uint(2048, 2) + uint(0, 4) + sized(modulus)
    if isinstance(key, Sm2PublicKey):
        curve, x, y = 0x20, key.x, key.y
    else:
        numbers = key.public_numbers()
        curve, x, y = 3, numbers.x, numbers.y
    point = sized(x.to_bytes(32, "big")) + sized(y.to_bytes(32, "big"))
    return uint(0x23, 2) + head + aes + NULL + uint(curve, 2) + NULL + point


def vendors() -> bytes:
    """Return every maker's certificates, as an operator would put them into one file."""
    folder = vectors("public") / "ekcerts" / "vendor-ca"
    return b"\n".join(path.read_bytes() for path in sorted(folder.glob("*.pem")))


def captured(name: str) -> bytes:
    return (vectors("public") / "ekcerts" / f"cert_utils__{name}_der.der").read_bytes()


def test_corpus_certificate_read_whole_from_nv_chains_to_its_makers_root():
    whole = captured("st_sha256_with_rsa")
    certificate = whole[:-431]
    assert whole[len(certificate) :] == b"\xff" * 431
    now, ek = datetime(2024, 1, 1, tzinfo=UTC), ek_of(certificate)
    assert verify_ek_certificate(whole, ek, vendors(), now) == sha256(certificate).hexdigest()
    # One bit anywhere in it is one too many.
    for at in range(0, len(certificate), 7):
        altered = certificate[:at] + bytes([certificate[at] ^ 1]) + certificate[at + 1 :]
        with pytest.raises(errors.EkCertificateError):
            verify_ek_certificate(altered, ek, vendors(), now)


def test_corpus_certificate_whose_makers_root_is_vouched_for_by_somebody_absent_is_named():
    # ST's ECC root is issued by GlobalSign's ECC root, which the list has not: no root, no trust.
    certificate = captured("st_ecdsa_sha256")
    now, ek = datetime(2024, 1, 1, tzinfo=UTC), ek_of(certificate)
    folder = vectors("public") / "ekcerts" / "vendor-ca"
    chain = [pem_certificate(folder / f"STM_ECC_01{part}.pem") for part in ("I", "RT")]
    assert is_signed_by(load_certificate(certificate), chain[0])
    assert is_signed_by(chain[0], chain[1])
    refused(errors.EkIssuerUnknown, certificate, vendors(), ek, now)


def test_corpus_certificate_that_is_not_quite_der_is_held_to_its_signature():
    certificate = captured("nuvoton_ecdsa_sha256")
    found = load_certificate(certificate)
    assert found.strict is None
    assert names_issuer(found, found)
    assert is_signed_by(found, found)
    # It is a root: it vouches for others and is nobody's EK certificate.
    refused(errors.EkCertificateUnreadable, certificate, vendors(), ek_of(certificate))
    for at in range(4, len(certificate)):
        altered = certificate[:at] + bytes([certificate[at] ^ 1]) + certificate[at + 1 :]
        try:
            other = load_certificate(altered)
        except errors.EkCertificateUnreadable:
            continue
        assert not is_signed_by(other, found)


def test_corpus_certificate_whose_intermediate_or_root_is_missing_is_named():
    certificate, now = captured("st_sha256_with_rsa"), datetime(2024, 1, 1, tzinfo=UTC)
    folder = vectors("public") / "ekcerts" / "vendor-ca"
    ek = ek_of(certificate[:-431])
    for name in ("STM_RSA_05I.pem", "STM_RSA_RT.pem", "GS_TPM_RT.pem", "NUVO_2110.pem"):
        refused(errors.EkIssuerUnknown, certificate, (folder / name).read_bytes(), ek, now)
    refused(errors.EkCertificateExpired, certificate, vendors(), ek, NOW + 5 * YEAR)


def test_corpus_every_certificate_of_a_maker_is_read():
    for path in sorted((vectors("public") / "ekcerts" / "vendor-ca").glob("*.pem")):
        assert pem_certificate(path).ca, path.name


def pem_certificate(path: Path) -> Certificate:
    return load_certificate(b64decode(b"".join(path.read_bytes().split(b"-----")[2].split())))


def test_name_whose_set_is_out_of_order_is_read_over_the_original_bytes():
    certificate = certify_out_of_order()
    found = load_certificate(certificate)
    assert found.strict is None
    assert found.der == certificate
    assert found.tbs in certificate


def certify_out_of_order() -> bytes:
    """Return a certificate whose issuer is one SET of two attributes, the longer one first."""
    issuer = x509.Name(
        [
            x509.RelativeDistinguishedName(
                [
                    x509.NameAttribute(NameOID.COMMON_NAME, "a longer name"),
                    x509.NameAttribute(NameOID.COUNTRY_NAME, "TW"),
                ]
            )
        ]
    )
    made = (
        x509.CertificateBuilder(issuer, x509.Name([]), TPM.ek.public_key(), 2)
        .not_valid_before(NOW - YEAR)
        .not_valid_after(NOW + YEAR)
        .sign(ROOT.key, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )
    inside = issuer.public_bytes()[4:]
    first, second = inside[: 2 + inside[1]], inside[2 + inside[1] :]
    return made.replace(inside, second + first, 1)


class Sm2Authority:
    """A root and what it certifies, made by the openssl command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        openssl(folder, "genpkey -algorithm SM2 -out ca.key")
        openssl(folder, f"req -x509 -new -key ca.key {SM2_SIGN} -subj /CN=sm2 -days 9 -out ca.pem")
        self.pem = (folder / "ca.pem").read_bytes()

    def certify(self, force_key: str = "") -> bytes:
        """:param force_key: a file with the public key to certify, instead of a new one."""
        openssl(self.folder, "genpkey -algorithm SM2 -out ek.key")
        openssl(self.folder, f"req -new -key ek.key {SM2_SIGN} -subj /CN=ek -out ek.csr")
        openssl(
            self.folder,
            "x509 -req -in ek.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 5"
            f" -vfyopt distid:1234567812345678 {SM2_SIGN} -outform der -out ek.der"
            + (f" -force_pubkey {force_key}" if force_key else ""),
        )
        return (self.folder / "ek.der").read_bytes()


def openssl(folder: Path, words: str) -> None:
    subprocess.run(["openssl", *words.split()], cwd=folder, check=True, capture_output=True)


def test_sm2_certificate_chains_to_an_sm2_root(tmp_path):
    authority = Sm2Authority(tmp_path)
    certificate, now = authority.certify(), datetime.now(UTC)
    ek = ek_of(certificate)
    assert len(verify_ek_certificate(certificate, ek, authority.pem + ROOT.pem, now)) == 64
    refused(errors.EkIssuerUnknown, certificate, ROOT.pem, ek, now)
    refused(errors.EkCertificateForeign, certificate, authority.pem, TPM.ek_public, now)
    for altered in (certificate[:-1] + bytes([certificate[-1] ^ 1]),):
        refused(errors.EkIssuerUnknown, altered, authority.pem, ek, now)


def test_sm2_root_of_the_same_name_is_not_the_issuer(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    certificate = Sm2Authority(tmp_path / "one").certify()
    other = Sm2Authority(tmp_path / "two")
    refused(errors.EkIssuerUnknown, certificate, other.pem, ek_of(certificate), datetime.now(UTC))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x30",
        b"\x30\x80\0\0",
        b"\x30\x81\x05" + bytes(5),
        b"\x30\x82\0\x90" + bytes(0x90),
        b"\x30\x84\0\0\0\1\0",
        b"\x1f\x01\0",
    ],
)
def test_what_is_not_der_is_refused(data):
    with pytest.raises(errors.EkCertificateUnreadable):
        DerReader(data).take(0x30)
