# SPDX-License-Identifier: Apache-2.0
"""Intermediates that a TPM carries: of help on the way to a root, trusted by nobody."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from e2etrust_core.evidence import ek_certificate, errors
from e2etrust_core.evidence.der import element
from e2etrust_core.evidence.ek_certificate import verify_ek_certificate
from e2etrust_core.evidence.ek_chain import MAX_EK_CHAIN, read_ek_chain
from tests.unit.core.evidence.test_ek_certificate import (
    NOW,
    ROOT,
    TPM,
    YEAR,
    Authority,
    certify,
    openssl_verifies,
)

UPPER = Authority("upper", ROOT)
LOWER = Authority("lower", UPPER)


def der(*authorities: Authority) -> bytes:
    return b"".join(one.certificate.public_bytes(Encoding.DER) for one in authorities)


def verify(certificate: bytes, chain: bytes, bundle: bytes = ROOT.pem) -> str:
    return verify_ek_certificate(certificate, TPM.ek_public, bundle, NOW, chain)


def refused(kind, certificate, chain, bundle=ROOT.pem):
    with pytest.raises(kind) as caught:
        verify(certificate, chain, bundle)
    assert type(caught.value) is kind
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize(
    "chain",
    [
        der(LOWER, UPPER),
        der(UPPER, LOWER, ROOT),
        der(LOWER) + b"\xff" * 300 + der(UPPER) + bytes(512),
        b"\xff" + der(UPPER, LOWER),
    ],
    ids=["lower-first", "any-order-with-root", "padded", "padded-in-front"],
)
def test_carried_chain_leads_to_a_root_of_the_bundle(chain):
    verify(certify(LOWER), chain)


def test_part_of_the_way_may_be_the_bundles():
    verify(certify(LOWER), der(LOWER), ROOT.pem + UPPER.pem)
    verify(certify(LOWER), der(UPPER), ROOT.pem + LOWER.pem)


def test_root_that_the_host_sends_is_trusted_by_nobody():
    own = Authority("own")
    refused(errors.EkIssuerUnknown, certify(own), der(own))
    below = Authority("below", own)
    refused(errors.EkIssuerUnknown, certify(below), der(below, own))
    named_alike = Authority("root")
    refused(errors.EkIssuerUnknown, certify(named_alike), der(named_alike))


def test_missing_intermediate_is_named():
    found = refused(errors.EkIssuerUnknown, certify(LOWER), der(LOWER))
    assert "1 that the TPM carries" in found.reason
    refused(errors.EkIssuerUnknown, certify(LOWER), der(UPPER))


def test_what_cannot_be_read_is_named_where_it_may_have_been_the_missing_one():
    broken = element(0x30, b"\x02\x01\x05")
    for chain in (
        der(LOWER) + b"garbage" + der(UPPER),
        der(LOWER) + broken,
        der(LOWER, UPPER)[:-1],
        b"0",
        bytes(MAX_EK_CHAIN) + b"0",
        der(LOWER) * 20,
    ):
        refused(errors.EkChainUnreadable, certify(LOWER), chain)


def test_what_cannot_be_read_harms_nobody_who_needs_it_not():
    whole = ROOT.pem + LOWER.pem + UPPER.pem
    verify(certify(LOWER), b"garbage", whole)
    verify(certify(LOWER), der(LOWER, UPPER) + b"garbage")
    verify(certify(LOWER), element(0x30, b"") + der(LOWER, UPPER))


def test_expired_or_unfit_authority_is_as_it_is_in_a_bundle():
    old = Authority("old", ROOT, start=NOW - 4 * YEAR)
    refused(errors.EkCertificateExpired, certify(old), der(old))
    for unfit in (Authority("leaf", ROOT, ca=False), Authority("leaf", ROOT, cert_sign=False)):
        refused(errors.EkIssuerUnknown, certify(unfit), der(unfit))
    narrow = Authority("narrow", ROOT, length=0)
    refused(errors.EkIssuerUnknown, certify(Authority("x", narrow)), der(narrow))
    below = Authority("below", narrow)
    refused(errors.EkIssuerUnknown, certify(below), der(below, narrow))


def cross_signed(subject: Authority, signer: Authority, serial: int) -> bytes:
    """Return another certificate of the same name and key, by *signer*."""
    return (
        x509.CertificateBuilder(signer.name, subject.name, subject.key.public_key(), serial)
        .not_valid_before(NOW - YEAR)
        .not_valid_after(NOW + YEAR)
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(signer.key, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )


def test_authorities_that_vouch_for_each_other_lead_nowhere_and_cost_little(monkeypatch):
    one, two = Authority("one"), Authority("two")
    circle = [cross_signed(one, two, n) for n in range(1, 9)]
    circle += [cross_signed(two, one, n) for n in range(1, 9)]
    checked = []
    real = ek_certificate.is_signed_by
    monkeypatch.setattr(
        ek_certificate, "is_signed_by", lambda *pair: checked.append(pair) or real(*pair)
    )
    refused(errors.EkIssuerUnknown, certify(one), b"".join(circle))
    assert len(checked) < len(circle) ** 2
    # The way out of the circle is found all the same.
    verify(certify(one), b"".join(circle[:15]) + cross_signed(two, ROOT, 99))


def test_chain_that_is_too_long_is_named():
    chain = [Authority("a0", ROOT)]
    for number in range(1, 8):
        chain.append(Authority(f"a{number}", chain[-1]))
    verify(certify(chain[4]), der(*chain))
    assert "too long" in refused(errors.EkIssuerUnknown, certify(chain[7]), der(*chain)).reason


def test_openssl_verify_agrees_with_what_is_untrusted(tmp_path):
    own = Authority("own")
    for issuer, carried in (
        (LOWER, (LOWER, UPPER)),
        (LOWER, (LOWER,)),
        (LOWER, ()),
        (own, (own,)),
    ):
        certificate = certify(issuer)
        try:
            ours = bool(verify(certificate, der(*carried)))
        except errors.EkCertificateError:
            ours = False
        assert openssl_verifies(tmp_path, certificate, *carried) is ours


def test_no_more_than_a_bounded_part_is_read():
    assert len(read_ek_chain(der(UPPER) * 40).certificates) == 16
    assert read_ek_chain(b"").fault is None
    assert read_ek_chain(b"\xff" * 2048).fault is None
