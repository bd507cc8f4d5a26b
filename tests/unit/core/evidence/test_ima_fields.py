# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib

import pytest

from e2etrust_core.evidence.errors import ImaListError
from e2etrust_core.evidence.ima_fields import decode_fields
from e2etrust_core.evidence.ima_list import ImaEntry, parse_ima_list
from tests.vectors import vectors

DIGEST = hashlib.sha256(b"x").digest()


def entry(template: str, *fields: bytes) -> ImaEntry:
    hashed = b"".join(len(field).to_bytes(4, "little") + field for field in fields)
    return ImaEntry(10, template, hashlib.sha1(hashed).digest(), hashed)


@pytest.mark.parametrize("name", ["ovmf-plain", "ovmf-sm3"])
def test_captured_list_decodes_to_what_its_ascii_twin_says(name):
    home = vectors(name)
    entries = parse_ima_list((home / "ima_bin").read_bytes())
    told = [line.split(" ")[3:5] for line in (home / "ima_ascii").read_text().splitlines()]
    found = [decode_fields(one) for one in entries]
    assert [[f"{f.algorithm}:{f.digest.hex()}", f.name.decode()] for f in found] == told


def test_public_list_gives_signature_buffer_and_typed_digest():
    home = vectors("public") / "ima" / "ibmtss"
    entries = parse_ima_list((home / "imatest.log").read_bytes())
    signed, buffered = decode_fields(entries[10]), decode_fields(entries[13])
    assert signed.name == b"/usr/lib/systemd/systemd"
    assert signed.signature is not None
    assert signed.signature[:2] == b"\x03\x02"
    assert buffered.name == b".builtin_trusted_keys"
    assert buffered.buffer is not None
    assert hashlib.new(buffered.algorithm, buffered.buffer).digest() == buffered.digest
    assert decode_fields(entries[15]).kind == "ima"
    assert decode_fields(entries[6]).name == b"boot_aggregate"


def test_entry_with_an_empty_buffer_is_a_files():
    """ima_template=ima-buf: what a kernel writes of files, boot_aggregate among them."""
    found = decode_fields(entry("ima-buf", b"sha256:\0" + DIGEST, b"boot_aggregate\0", b""))
    assert (found.name, found.digest, found.buffer) == (b"boot_aggregate", DIGEST, None)


def test_verity_digest_is_told_from_a_files():
    assert decode_fields(entry("ima-ngv2", b"verity:sha256:\0" + DIGEST, b"/f\0")).kind == "verity"


def test_public_list_gives_files_of_every_template_that_tells_digest_and_name():
    home = vectors("public") / "ima" / "ibmtss"
    told, refused = {}, []
    for one in parse_ima_list((home / "imatest.log").read_bytes()):
        if one.violation:
            continue
        try:
            told[one.template] = decode_fields(one).name
        except ImaListError as exc:
            refused.append((one.template, exc.reason))
    assert told["ima-modsig"] == b"/boot/vmlinuz-6.1.6-200.fc37.x86_64"
    assert told["evm-sig"] == b"/tmp/lower/lower/foo-evmsig-4.txt"
    assert told["n-ng|sig|d-ng"] == b"boot_aggregate"
    # Nothing is told of a file there, or not what it is.
    assert [name for name, _ in refused] == ["d-ng|sig", "n-ng|sig", "n", "sig"]
    assert all(name in reason for name, reason in refused)


def test_template_of_the_command_line_goes_by_its_list_of_fields():
    found = decode_fields(entry("n|sig|d", b"/f\0", b"s", bytes(20)))
    assert (found.algorithm, found.name, found.signature) == ("sha1", b"/f", b"s")
    assert decode_fields(entry("d|n", bytes(16), b"/f\0")).algorithm == "md5"
    typed = entry("d-ngv2|n-ng|imode|iuid", b"verity:sha256:\0" + DIGEST, b"/f\0", b"ab", bytes(4))
    assert decode_fields(typed).kind == "verity"


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha384", "sha512", "sm3", "sha3-256"])
def test_digest_of_every_hash_of_the_kernel_is_read(algorithm):
    name = algorithm.replace("-", "_")
    digest = hashlib.new(name, b"buffer").digest()
    head = algorithm.encode() + b":\0"
    found = decode_fields(entry("ima-ng", head + digest, b"/f\0"))
    assert (found.algorithm, found.digest) == (algorithm, digest)
    assert decode_fields(entry("ima-buf", head + digest, b"n\0", b"buffer")).buffer == b"buffer"
    with pytest.raises(ImaListError, match="not of"):
        decode_fields(entry("ima-buf", head + digest, b"n\0", b"Buffer"))


@pytest.mark.parametrize(
    "bad",
    [
        entry("d-ng|n-ng|d-ng", b"sha256:\0" + DIGEST, b"/f\0", b"sha256:\0" + DIGEST),
        entry("d-ng|n-ng|d", b"sha256:\0" + DIGEST, b"/f\0", bytes(20)),
        entry("d-ng|n-ng|new", b"sha256:\0" + DIGEST, b"/f\0", b""),
        entry("d-ng|n-ng|iuid", b"sha256:\0" + DIGEST, b"/f\0", b"123"),
        entry("d|n", bytes(32), b"/f\0"),
        entry("ima-modsig", b"sha256:\0" + DIGEST, b"/f\0", b"", b"sha256:\0", b""),
        entry("ima-ng", b"sha256:\0" + DIGEST[:-1], b"/f\0"),
        entry("ima-ng", b"sha257:\0" + DIGEST, b"/f\0"),
        entry("ima-ng", DIGEST, b"/f\0"),
        entry("ima-ng", b"sha256:\0" + DIGEST, b"/f"),
        entry("ima-ng", b"sha256:\0" + DIGEST, b"/f\0g\0"),
        entry("ima-ng", b"sha256:\0" + DIGEST, b"/" * 4097 + b"\0"),
        entry("ima-ng", b"sha256:\0" + DIGEST, b"/f\0", b""),
        entry("ima-sig", b"sha256:\0" + DIGEST, b"/f\0", bytes(4097)),
        entry("ima-ngv2", b"sha256:\0" + DIGEST, b"/f\0"),
        entry("ima-other", b"sha256:\0" + DIGEST, b"/f\0"),
    ],
)
def test_fields_that_are_not_as_the_template_says_are_refused(bad):
    with pytest.raises(ImaListError):
        decode_fields(bad)
