# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2etrust_core.evidence.errors import ImaListError
from e2etrust_core.evidence.ima_list import entries_quoted, parse_ima_list, replay_ima_list
from tests.vectors import vectors


def entry(
    template: bytes, hashed: bytes, written: bytes | None = None, *, violation=False
) -> bytes:
    digest = bytes(20) if violation else hashlib.sha1(hashed).digest()
    body = len(hashed).to_bytes(4, "little") + hashed if written is None else written
    head = (10).to_bytes(4, "little") + digest
    return head + len(template).to_bytes(4, "little") + template + body


def ng(path: bytes, content: bytes = b"x") -> bytes:
    fields = (b"sha256:\0" + hashlib.sha256(content).digest(), path + b"\0")
    return b"".join(len(field).to_bytes(4, "little") + field for field in fields)


ONE = entry(b"ima-ng", ng(b"/bin/sh"))
TWO = entry(b"ima-ng", ng(b"/bin/ls"))


def last(data: bytes, bank: str, **how) -> bytes:
    return list(replay_ima_list(parse_ima_list(data), bank, **how))[-1]


def pcr10(path) -> dict[str, bytes]:
    lines = path.read_text().splitlines()
    banks = {"pcr-sha256": "sha256", "pcr-sm3": "sm3_256"}
    words = [line.split() for line in lines]
    return {banks[w[0]]: bytes.fromhex(w[2]) for w in words if w[0] in banks and w[1] == "10"}


def test_fields_of_an_entry():
    assert parse_ima_list(ONE)[0].fields()[1] == b"/bin/sh\0"


def test_legacy_entry_is_hashed_over_its_padded_name():
    digest = hashlib.sha1(b"x").digest()
    hashed = digest + b"/bin/sh".ljust(256, b"\0")
    data = entry(b"ima", hashed, digest + (7).to_bytes(4, "little") + b"/bin/sh")
    assert parse_ima_list(data)[0].fields() == [digest, b"/bin/sh"]


def test_violation_extends_ones():
    data = entry(b"ima-ng", ng(b"/open/for/write"), violation=True)
    assert last(data, "sha256") == hashlib.sha256(bytes(32) + b"\xff" * 32).digest()


def test_prefix_under_the_quote_is_found_and_no_more():
    entries = parse_ima_list(ONE + TWO)
    after_one = last(ONE, "sha256")
    assert entries_quoted(entries, "sha256", after_one) == 1
    assert entries_quoted(entries, "sha256", b"\1" * 32) is None


def test_entry_altered_under_its_digest_is_refused():
    with pytest.raises(ImaListError, match="entry 2"):
        parse_ima_list(ONE + TWO.replace(b"/bin/ls", b"/bin/lx"))


@pytest.mark.parametrize("cut", range(1, len(ONE), 7))
def test_cut_list_is_refused(cut):
    with pytest.raises(ImaListError):
        parse_ima_list(TWO + ONE[:-cut])


def test_claimed_size_is_not_taken_on_trust():
    huge = ONE[:34] + (0xFFFFFFF0).to_bytes(4, "little") + ONE[38:]
    with pytest.raises(ImaListError):
        parse_ima_list(TWO + huge)


@given(st.binary(max_size=400))
def test_any_bytes_are_a_list_or_refused(data):
    try:
        parse_ima_list(data)
    except ImaListError:
        pass


@pytest.mark.parametrize("name", ["ovmf-plain", "ovmf-sm3"])
def test_captured_list_comes_to_the_pcrs_read_after_it(name):
    home = vectors(name)
    entries = parse_ima_list((home / "ima_bin").read_bytes())
    for bank, value in pcr10(home / "pcrs.txt").items():
        assert entries_quoted(entries, bank, value) == len(entries)


def test_captured_list_and_its_ascii_twin_name_the_same_files():
    home = vectors("ovmf-plain")
    entries = parse_ima_list((home / "ima_bin").read_bytes())
    paths = [line.split(" ")[4] for line in (home / "ima_ascii").read_text().splitlines()]
    assert [e.fields()[1].rstrip(b"\0").decode() for e in entries] == paths


def test_public_boot_under_four_template_hashes_comes_to_the_same_pcrs():
    home = vectors("public") / "ima" / "ibmtss"
    lines = (home / "imakvtpcr10.txt").read_text().split("\n")
    values = [bytes.fromhex(line.split(":")[1]) for line in lines if ":" in line]
    hashes = ("sha1", "sha256", "sha384", "sha512")
    lists = [parse_ima_list((home / f"{name}.log").read_bytes()) for name in hashes]
    assert {len(one) for one in lists} == {362}
    for bank, value in zip(hashes, values, strict=True):
        assert {list(replay_ima_list(one, bank))[-1] for one in lists} == {value}


def test_public_list_with_one_entry_of_every_template_is_read():
    home = vectors("public") / "ima" / "ibmtss"
    entries = parse_ima_list((home / "imatest.log").read_bytes())
    assert len(entries) == 17
    assert sum(e.violation for e in entries) == 1
