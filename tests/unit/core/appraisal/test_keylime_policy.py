# SPDX-License-Identifier: Apache-2.0
"""Runtime policies of Keylime's taken over: nothing is accepted that they did not accept."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from e2etrust_core.appraisal.ima_proposal import ProposedFiles
from e2etrust_core.appraisal.keylime_policy import read_keylime_policy
from e2etrust_core.appraisal.policy_ima import parse_ima
from e2etrust_core.errors import InputError
from tests.unit.core.appraisal.test_ima_checks import GOOD, Host, failed
from tests.unit.core.ima_writer import buf, ng

KEY = ec.generate_private_key(ec.SECP256R1()).public_key()
DER = KEY.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
IDENTIFIER = int.from_bytes(x509.SubjectKeyIdentifier.from_public_key(KEY).digest[-4:], "big")


def document(**changes) -> bytes:
    """As ``keylime-policy create runtime`` writes it."""
    found = {
        "meta": {"version": 1, "generator": 0, "timestamp": "2026-01-01 00:00:00"},
        "release": 0,
        "digests": {path: [hashlib.sha256(one).hexdigest()] for path, one in GOOD.items()},
        "excludes": [],
        "keyrings": {},
        "ima": {"ignored_keyrings": [], "log_hash_alg": "sha1", "dm_policy": None},
        "ima-buf": {},
        "verification-keys": "",
    }
    return json.dumps({**found, **changes}).encode()


def section(**changes):
    found = read_keylime_policy(document(**changes), "kl")
    return found.sections["ima"], found


def test_files_are_good_by_our_policy_as_they_were_by_keylimes(tmp_path):
    host = Host(tmp_path)
    found = read_keylime_policy(document(), "files")
    (tmp_path / "files.sha256").write_bytes(found.files["files.sha256"])
    host.rules("ima: {allow: [files.sha256]}\n")
    assert host.appraise().verdict.trusted
    host.entries.append(ng("/usr/bin/bash", b"another"))
    assert failed(host.appraise()) == {"ima-policy": ("IMA_FILE_REFUSED", "ima 5")}


def test_section_is_one_that_the_parser_takes():
    keys = {"pubkeys": [base64.b64encode(DER).decode()], "keyids": [IDENTIFIER]}
    ima, found = section(
        excludes=["/tmp(/.*)?"],
        keyrings={".ima": ["11" * 32], "_evm": ["22" * 32]},
        **{"ima-buf": {"kernel_version": ["33" * 32]}, "verification-keys": json.dumps(keys)},
    )
    assert ima["buffers"] == [
        {"name": ".ima", "digests": ["11" * 32], "verifies": True},
        {"name": "_evm", "digests": ["22" * 32]},
        {"name": "kernel_version", "digests": ["33" * 32]},
    ]
    assert ima["signed_by"] == ["kl.pem"]
    assert found.files["kl.pem"].startswith(b"-----BEGIN PUBLIC KEY")
    without = {key: value for key, value in ima.items() if key != "signed_by"}
    rules = parse_ima(without, ProposedFiles(found.files))
    assert len(rules.allowed[0]) == len(GOOD)


@pytest.mark.parametrize(
    ("expression", "patterns"),
    [
        ("/tmp", ["/tmp", "/tmp/*"]),
        ("/tmp(/.*)?", ["/tmp", "/tmp/*"]),
        ("^/tmp/.*$", ["/tmp/*"]),
        ("/var/log.*", ["/var/log*"]),
        (r"/etc/ld\.so\.cache$", ["/etc/ld.so.cache"]),
        (r"/opt/\[a\]/.*", ["/opt/[a]/*"]),
    ],
)
def test_excludes_of_plain_paths_are_patterns(expression, patterns):
    assert section(excludes=[expression])[0]["exclude"] == patterns


@pytest.mark.parametrize(
    "expression", ["/(tmp|var)/.*", "/a+", "/[ab]", ".*tmp.*", r"/\d+", "", "/a?", r"/a\*/b"]
)
def test_other_excludes_are_left_out_and_told(expression):
    ima, found = section(excludes=[expression])
    assert "exclude" not in ima
    assert any("left out: 1 excludes" in one for one in found.words)


def test_what_says_something_else_here_is_left_out_and_told():
    keys = {"pubkeys": [base64.b64encode(DER).decode(), "!"], "keyids": [7, 8]}
    ima, found = section(
        digests={"/a": ["zz"], "/b": ["00" * 16], "boot_aggregate": ["11" * 32]},
        keyrings={".ima": ["11" * 20]},
        ima={"ignored_keyrings": ["*", ".evm"], "dm_policy": {"x": 1}},
        **{"verification-keys": json.dumps(keys)},
    )
    assert "signed_by" not in ima
    assert ima["buffers"] == [{"name": ".evm", "anything": True}]
    told = "; ".join(found.words)
    for words in (
        "2 digests of no hash",
        "1 digests of keys",
        "'*'",
        "dm_policy",
        "2 verification",
    ):
        assert words in told
    assert "0 digests of files" in told


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "no runtime policy"),
        (b'{"meta": {"version": 5}}', "no runtime policy"),
        (b'{"payload": "", "signatures": []}', "envelope"),
        (document(digests=[1]), "digests"),
        (document(digests={"/a": "00"}), "digests"),
        (document(excludes="/tmp"), "excludes"),
        (document(**{"verification-keys": "no keys"}), "verification-keys"),
    ],
)
def test_what_is_no_policy_is_refused(data, told):
    with pytest.raises(InputError, match=told):
        read_keylime_policy(data, "kl")


def test_buffers_that_keylime_accepted_are_accepted(tmp_path):
    host = Host(tmp_path)
    digest = hashlib.sha256(b"5.10").hexdigest()
    ima, found = section(**{"ima-buf": {"kernel_version": [digest]}})
    (tmp_path / "kl.sha256").write_bytes(found.files["kl.sha256"])
    host.rules(f"ima: {json.dumps(ima)}\n")
    host.entries.append(buf("kernel_version", b"5.10"))
    assert host.appraise().verdict.trusted
