# SPDX-License-Identifier: Apache-2.0
"""`host enrol --ek-certificate`: the pin of a host's key from the certificate of it."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from osc_lib import exceptions

from e2etrust_client.ek_file import read_ek_file
from e2etrust_client.errors import FileError
from e2etrust_client.model import ExpectedHost
from e2etrust_client.osc.v1 import inventory
from e2etrust_core.evidence.certificate import load_certificate
from e2etrust_core.evidence.public_areas import ek_areas_of
from e2etrust_core.evidence.tpm_bytes import unsized
from e2etrust_core.evidence.tpm_structures import decode_public, public_key_of
from e2etrust_core.suites import TPM_ECC_SM2_P256
from tests.unit.core.evidence.test_ek_certificate import ROOT, Sm2Authority, certify
from tests.vectors import vectors

KEY = ec.generate_private_key(ec.SECP256R1())
CERTIFICATE = certify(ROOT, KEY)


def pem(der: bytes) -> bytes:
    text = base64.encodebytes(der)
    return b"-----BEGIN CERTIFICATE-----\n" + text + b"-----END CERTIFICATE-----\n"


def read(path, data: bytes):
    path.write_bytes(data)
    return read_ek_file(path)


@pytest.mark.parametrize("capture", ["ovmf-plain", "ovmf-sm3"])
def test_captured_key_is_the_one_that_its_certificate_speaks_of(capture):
    folder = vectors(capture)
    public = unsized((folder / "ek_rsa.pub").read_bytes(), "TPM2B_PUBLIC")
    found = read_ek_file(folder / "ekcert_rsa.der")
    assert found.ek_sha256 == [hashlib.sha256(public).hexdigest()]


@pytest.mark.parametrize("capture", ["ovmf-plain", "ovmf-sm3"])
def test_captured_area_of_a_p256_key_is_made_again_from_the_key(capture):
    public = unsized((vectors(capture) / "ek_ecc.pub").read_bytes(), "TPM2B_PUBLIC")
    assert ek_areas_of(public_key_of(decode_public(public))) == {"ecc-p256": public}


def test_pem_der_and_what_a_tpm_pads_are_the_same(tmp_path):
    found = [
        read(tmp_path / "ek", data)
        for data in (
            CERTIFICATE,
            pem(CERTIFICATE),
            b"# ek\n" + pem(CERTIFICATE),
            CERTIFICATE + b"\xff" * 99,
        )
    ]
    assert found == [found[0]] * 4
    fingerprint = hashlib.sha256(CERTIFICATE).hexdigest()
    for word in (str(tmp_path / "ek"), "ecc-p256", "id:00001014", fingerprint, "not verified"):
        assert word in found[0].told


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "EK_CERT_UNREADABLE"),
        (pem(CERTIFICATE) * 2, "2 certificates"),
        (b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----", "no PEM"),
        (b"-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----", "EK_CERT_UNREADABLE"),
        (certify(ROOT, KEY, ca=True), "authority"),
        (
            certify(ROOT, KEY, extra=x509.ExtendedKeyUsage([x509.OID_SERVER_AUTH])),
            "another use",
        ),
        (certify(ROOT, ec.generate_private_key(ec.SECP521R1())), "no agent uses"),
        (certify(ROOT, rsa.generate_private_key(3, 2048)), "no agent uses"),
        (bytes(70000), "larger"),
    ],
    ids=["empty", "two", "base64", "key", "authority", "tls", "p521", "exponent", "large"],
)
def test_file_that_is_no_ek_certificate_is_refused_by_name(tmp_path, data, why):
    with pytest.raises(FileError) as caught:
        read(tmp_path / "ek", data)
    assert why in str(caught.value)
    assert str(tmp_path / "ek") in caught.value.reason


def test_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(FileError, match="cannot be read"):
        read_ek_file(tmp_path / "none")


def test_sm2_key_is_expected_as_either_of_its_kinds(tmp_path):
    certificate = Sm2Authority(tmp_path).certify()
    found = read(tmp_path / "ek", certificate)
    assert "sm2-sm3 or sm2" in found.told
    key = load_certificate(certificate).key
    areas = ek_areas_of(key)
    assert found.ek_sha256 == [hashlib.sha256(area).hexdigest() for area in areas.values()]
    for area in areas.values():
        assert decode_public(area).key.curve == TPM_ECC_SM2_P256
        assert public_key_of(decode_public(area)) == key


@pytest.fixture
def run(monkeypatch):
    """Run the command; return what it wrote."""
    sent = []

    def expect(host, digests, *, replace):
        sent.append(digests)
        return ExpectedHost(host, digests, "now", "u", enrolled=False)

    client = SimpleNamespace(expect_host=expect)
    monkeypatch.setattr(inventory, "client_of", lambda _manager: client)

    def run(*arguments: str):
        out = io.StringIO()
        command = inventory.EnrolHost(SimpleNamespace(stdout=out, client_manager=None), None)
        command.run(command.get_parser("x").parse_args(["host1", "-f", "json", *arguments]))
        return sent[-1], json.loads(out.getvalue())

    return run


def test_command_expects_the_key_and_says_what_it_read(run, tmp_path):
    path = tmp_path / "ek.pem"
    expected = read(path, pem(CERTIFICATE))
    sent, told = run("--ek-certificate", str(path), "--ek-sha256", "00" * 32)
    assert sent == ["00" * 32, *expected.ek_sha256]
    assert told["certificates"] == [expected.told]
    _, told = run("--ek-sha256", "00" * 32)
    assert told["certificates"] == []


def test_command_wants_to_know_which_key(run):
    with pytest.raises(exceptions.CommandError, match="--ek-certificate"):
        run()
