# SPDX-License-Identifier: Apache-2.0
"""Keys that the kernel measured, for the signatures of files: only where the policy says so."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from e2etrust_core import wire
from e2etrust_core.appraisal.reference import ImaSeen
from e2etrust_core.errors import PolicyError
from e2etrust_core.evidence.ima_fields import decode_fields
from e2etrust_core.evidence.ima_list import parse_ima_list
from e2etrust_core.evidence.ima_measured_keys import MAX_MEASURED_KEYS, MeasuredKeys
from tests.unit.core.appraisal.test_ima_checks import SECTION, Host, failed, ima_row
from tests.unit.core.ima_writer import body, buf, file_digest, line, ng, sig
from tests.vectors import vectors

ANY_KEY = "  buffers: [{name: .ima, anything: true, verifies: true}]\n"
#: Made once: RSA keys take their time.
KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())


@lru_cache
def certificate(key) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "signer")])
    now = datetime(2026, 1, 1, tzinfo=UTC)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder(name, name, key.public_key(), 7)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .add_extension(identifier, critical=False)
        .sign(KEY, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )


def signed(path: str, content: bytes, key=KEY) -> bytes:
    value = key.sign(hashlib.sha256(content).digest(), ec.ECDSA(Prehashed(hashes.SHA256())))
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest[-4:]
    signature = b"\x03\x02\x04" + identifier + len(value).to_bytes(2, "big") + value
    return sig(path, content, signature)


@pytest.fixture
def host(tmp_path) -> Host:
    made = Host(tmp_path)
    made.rules(SECTION + ANY_KEY)
    return made


def refused(host: Host, where: str, code: str = "IMA_FILE_REFUSED") -> None:
    assert failed(host.appraise()) == {"ima-policy": (code, where)}


def test_file_signed_by_a_measured_key_is_accepted_wherever_it_lies(host):
    host.entries += [buf(".ima", certificate(KEY)), signed("/opt/new", b"new")]
    found = host.appraise()
    assert found.verdict.trusted
    assert "1 measured keys" in ima_row(found)


def test_measured_key_checks_nothing_unless_the_policy_says_so(host):
    host.entries += [buf(".ima", certificate(KEY)), signed("/opt/new", b"new")]
    host.rules(SECTION + ANY_KEY.replace(", verifies: true", ""))
    refused(host, "ima 6")


def test_key_counts_for_what_was_measured_after_it_only(host):
    host.entries += [signed("/opt/new", b"new"), buf(".ima", certificate(KEY))]
    refused(host, "ima 5")


def test_key_of_another_keyring_checks_nothing(host):
    host.rules(SECTION + ANY_KEY.replace("}]", "}, {name: .platform, anything: true}]"))
    host.entries += [buf(".platform", certificate(KEY)), signed("/opt/new", b"new")]
    refused(host, "ima 6")


def test_keys_can_be_restricted_by_digest(host):
    good = hashlib.sha256(certificate(OTHER)).hexdigest()
    host.rules(SECTION + f"  buffers: [{{name: .ima, digests: ['{good}'], verifies: true}}]\n")
    host.entries += [buf(".ima", certificate(OTHER)), signed("/opt/new", b"new", OTHER)]
    assert host.appraise().verdict.trusted
    host.entries.append(buf(".ima", certificate(KEY)))
    refused(host, "ima 7", "IMA_BUFFER_REFUSED")


def test_key_of_an_entry_whose_digest_does_not_cover_it_checks_nothing(host):
    fields = (file_digest(b"another"), b".ima\0", certificate(KEY))
    host.entries += [line("ima-buf", body(*fields)), signed("/opt/new", b"new")]
    found = host.appraise()
    assert failed(found) == {"ima-policy": ("IMA_FILE_REFUSED", "ima 5")}
    assert "1 more" in found.verdict.failed[0].reason


def test_key_in_a_violation_checks_nothing(host):
    host.rules(SECTION + "  violations: report\n" + ANY_KEY)
    fields = (file_digest(certificate(KEY)), b".ima\0", certificate(KEY))
    host.entries += [line("ima-buf", body(*fields), digest=bytes(20)), signed("/opt/new", b"new")]
    refused(host, "ima 6")


def test_file_of_that_name_is_no_key(host):
    host.rules(SECTION + "  exclude: ['.ima']\n" + ANY_KEY)
    host.entries += [ng(".ima", certificate(KEY)), signed("/opt/new", b"new")]
    refused(host, "ima 6")


def test_key_of_an_earlier_part_of_the_list_counts_on(host):
    host.entries.append(buf(".ima", certificate(KEY)))
    assert host.appraise().verdict.trusted
    host.seen = wire.from_json(ImaSeen, wire.to_json(host.seen))  # as the database keeps it
    host.entries.append(signed("/opt/new", b"new"))
    assert host.appraise().verdict.trusted
    host.entries.append(signed("/opt/evil", b"evil", OTHER))
    refused(host, "ima 7")


def test_what_a_measured_key_accepted_on_one_host_is_not_good_for_another(host, tmp_path):
    host.entries += [buf(".ima", certificate(KEY)), signed("/opt/new", b"new")]
    assert host.appraise().verdict.trusted
    other = Host(tmp_path)
    other.tpm.pcrs = {bank: dict(values) for bank, values in host.tpm.pcrs.items()}
    other.entries = [*other.entries, host.entries[-1]]
    other.policy = host.policy
    refused(other, "ima 5")


#: X.509 of a version that there is not.
NO_VERSION = certificate(KEY).replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x07", 1)


@pytest.mark.parametrize(
    "buffer", [b"no key", b"\x30\x82\xff\xff", certificate(KEY)[:-1], NO_VERSION]
)
def test_buffer_that_is_no_certificate_gives_no_key(host, buffer):
    host.entries += [buf(".ima", buffer), signed("/opt/new", b"new")]
    refused(host, "ima 6")


def test_file_of_a_keyrings_name_gives_no_key(host):
    """An empty buffer is none: that is how files are told of under ima_template=ima-buf."""
    host.entries += [buf(".ima", b""), signed("/opt/new", b"new")]
    refused(host, "ima 5")


def test_short_key_checks_nothing():
    keys = MeasuredKeys()
    assert not keys.add(certificate(rsa.generate_private_key(65537, 1024)))
    assert keys.kept == []


def test_keys_of_one_host_are_bounded_and_each_is_kept_once():
    keys = MeasuredKeys()
    assert keys.add(certificate(KEY))
    assert keys.add(certificate(KEY))
    assert len(keys.kept) == 1
    for _ in range(MAX_MEASURED_KEYS):
        keys.add(certificate(ec.generate_private_key(ec.SECP256R1())))
    assert len(keys.kept) == MAX_MEASURED_KEYS


def test_public_lists_built_in_key_is_read():
    home = vectors("public") / "ima" / "ibmtss"
    entry = parse_ima_list((home / "imatest.log").read_bytes())[13]
    found = decode_fields(entry)
    assert found.name == b".builtin_trusted_keys"
    keys = MeasuredKeys()
    assert keys.add(found.buffer or b"")
    assert keys.kept == MeasuredKeys(keys.kept).kept
    assert not keys.signed(replace(found, signature=b"\x03\x02\x04" + bytes(20)))


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("{name: my-keys, anything: true, verifies: true}", "kernel's own"),
        ("{name: .ima, anything: true, verifies: false}", "leave it out"),
        ("{name: .ima, verifies: true}", "anything: true"),
    ],
)
def test_rule_that_is_wrong_is_refused_by_its_field(host, rule, told):
    with pytest.raises(PolicyError, match=told):
        host.rules(SECTION + f"  buffers: [{rule}]\n")
