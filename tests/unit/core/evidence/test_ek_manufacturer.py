# SPDX-License-Identifier: Apache-2.0
"""Makers' names out of certificates of real makers, and of some that were made up."""

from __future__ import annotations

import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from e2etrust_core.evidence.ek_manufacturer import (
    manufacturer_bytes,
    manufacturer_of,
    manufacturer_text,
)
from e2etrust_core.evidence.errors import EkCertificateUnreadable
from tests.unit.core.evidence.test_ek_certificate import (
    NO_AUTHORITY,
    NOW,
    ROOT,
    TPM,
    YEAR,
    certify,
    certify_with,
)
from tests.vectors import vectors


@pytest.mark.parametrize("name", ["st_ecdsa_sha256", "st_sha256_with_rsa"])
def test_maker_of_real_tpms(name):
    certificate = (vectors("public") / f"ekcerts/cert_utils__{name}_der.der").read_bytes()
    found, _ = manufacturer_of(certificate)
    assert manufacturer_text(found) == "STM"


def test_fingerprint_is_of_the_certificate_without_its_padding():
    certificate = certify(ROOT)
    found = manufacturer_of(certificate + b"\xff" * 100)
    assert found == (b"\0\0\x10\x14", hashlib.sha256(certificate).hexdigest())


def named(*names: x509.Name) -> bytes:
    builder = x509.CertificateBuilder(ROOT.name, x509.Name([]), TPM.ek.public_key(), 2)
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + YEAR)
    if names:
        told = x509.SubjectAlternativeName([x509.DirectoryName(one) for one in names])
        builder = builder.add_extension(told, True)
    return builder.sign(ROOT.key, hashes.SHA256()).public_bytes(Encoding.DER)


def vendor(text: str, oid: str = "2.23.133.2.1") -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.ObjectIdentifier(oid), text)])


@pytest.mark.parametrize(
    "names",
    [
        [],
        [vendor("id:494E5443", "2.23.133.2.2")],
        [vendor("INTC")],
        [vendor("id:494E54")],
        [vendor("id:494E5443"), vendor("id:414D4400")],
    ],
)
def test_certificate_that_names_no_maker_or_several_names_none(names):
    assert manufacturer_of(named(*names))[0] is None


def test_maker_of_a_certificate_that_is_not_quite_der_is_read():
    assert manufacturer_of(certify_with(NO_AUTHORITY))[0] == b"\0\0\x10\x14"


def test_what_is_no_certificate_is_refused():
    with pytest.raises(EkCertificateUnreadable):
        manufacturer_of(b"\x30\x00")


@pytest.mark.parametrize(
    ("one", "other"), [("AMD", "id:414D4400"), ("STM", "STM "), ("INTC", "id:494e5443")]
)
def test_ways_to_write_a_maker_are_the_same(one, other):
    assert manufacturer_bytes(one) == manufacturer_bytes(other)


def test_maker_without_letters_is_written_in_digits():
    assert manufacturer_text(manufacturer_bytes("id:00001014")) == "id:00001014"
