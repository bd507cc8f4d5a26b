# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import errno
import os
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from e2etrust_verifier.trust import records
from e2etrust_verifier.trust.signing_keys import SigningKeyError
from tests.unit import synced


def pem(key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def test_new_key_is_its_owners_only(tmp_path):
    path = tmp_path / "key.pem"
    records.create_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    records.load_signer(path)


def test_new_key_is_on_the_disk(tmp_path, monkeypatch):
    on_disk = synced.watch(monkeypatch)
    records.create_key(tmp_path / "key.pem")
    assert on_disk == [tmp_path / "key.pem", tmp_path]


def test_key_that_cannot_be_written_leaves_no_part_of_one(tmp_path, monkeypatch):
    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(SigningKeyError, match="No space left"):
            records.create_key(tmp_path / "key.pem")
    records.create_key(tmp_path / "key.pem")


def test_existing_key_is_left_as_it_is(tmp_path):
    path = tmp_path / "key.pem"
    path.write_bytes(b"old")
    with pytest.raises(records.SigningKeyError):
        records.create_key(path)
    assert path.read_bytes() == b"old"


def test_key_is_not_written_through_a_link(tmp_path):
    (tmp_path / "key.pem").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(records.SigningKeyError):
        records.create_key(tmp_path / "key.pem")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_key_that_others_can_use_is_refused(tmp_path, mode):
    path = tmp_path / "key.pem"
    records.create_key(path)
    path.chmod(mode)
    with pytest.raises(records.SigningKeyError, match="others"):
        records.load_signer(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no PEM",
        pem(ec.generate_private_key(ec.SECP384R1())),
        pem(rsa.generate_private_key(65537, 2048)),
    ],
)
def test_file_with_something_else_is_refused(tmp_path, content):
    path = tmp_path / "key.pem"
    path.touch(mode=0o600)
    path.write_bytes(content)
    with pytest.raises(records.SigningKeyError):
        records.load_signer(path)


def test_missing_key_is_refused_with_the_command_that_makes_one(tmp_path):
    with pytest.raises(records.SigningKeyError) as caught:
        records.load_signer(tmp_path / "key.pem")
    assert "key create" in caught.value.remedy


def test_retired_keys_are_published_beside_the_current_one(tmp_path):
    old = ec.generate_private_key(ec.SECP256R1()).public_key()
    (tmp_path / "old.pem").write_bytes(
        old.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    records.create_key(tmp_path / "key.pem")

    class Conf:
        class verifier:  # noqa: N801
            signing_key = str(tmp_path / "key.pem")
            sm2_signing_key = ""
            retired_keys = [str(tmp_path / "old.pem")]

    published = records.published_keys(Conf)["keys"]
    assert len(published) == 2
    assert published[1]["kid"] == records.key_id(old)
    assert all("d" not in key for key in published)


def test_install_guides_command_writes_a_key_that_can_be_retired(tmp_path):
    guide = (Path(__file__).parents[3] / "doc/source/install/index.rst").read_text()
    (line,) = [line.strip() for line in guide.splitlines() if "openssl pkey" in line]
    records.create_key(tmp_path / "signing-key.pem")
    command = line.replace("/etc/e2etrust", str(tmp_path)).split()
    subprocess.run(command, check=True)

    class Conf:
        class verifier:  # noqa: N801
            signing_key = str(tmp_path / "signing-key.pem")
            sm2_signing_key = ""
            retired_keys = [str(tmp_path / "retired-1.pem")]

    current, retired = records.published_keys(Conf)["keys"]
    assert retired == current


def test_thumbprint_of_a_known_key():
    """The P-256 key of RFC 7517, appendix A.1; thumbprint by RFC 7638, section 3, by hand."""
    x = int("30a0424cd21c2944838a2d75c92b37e76ea20d9f00893a3b4eee8a3c0aafec3e", 16)
    y = int("e04b65e92456d9888b52b379bdfbd51ee869ef1f0fc65b6659695b6cce081723", 16)
    key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    members = records._members(key)
    assert members["x"] == "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4"
    assert members["y"] == "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"
