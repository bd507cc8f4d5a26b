# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2etrust_client.appraise.folder import parse_pcr_values
from e2etrust_core.evidence.errors import ImaListError, ImaListMismatch
from e2etrust_core.evidence.ima_frames import covered_by_quote, split_ima_list
from e2etrust_core.evidence.ima_list import entries_quoted, parse_ima_list
from tests.unit.core.ima_writer import body, buf, extended, line, ng, pcr10, sig, violation
from tests.vectors import vectors

PATHS = [f"/usr/bin/file-{number}" for number in range(8)]


def as_entries(data: bytes):
    frames = split_ima_list(data)
    return [frames.entry(number) for number in range(len(frames))]


@pytest.mark.parametrize("name", ["ovmf-plain", "ovmf-sm3"])
def test_captured_list_is_cut_as_it_is_read(name):
    data = (vectors(name) / "ima_bin").read_bytes()
    assert as_entries(data) == parse_ima_list(data)
    assert split_ima_list(data).template == "ima-sig"


@pytest.mark.parametrize(
    "name", ["imatest.log", "sha1.log", "sha256.log", "sha384.log", "sha512.log"]
)
def test_public_list_is_cut_as_it_is_read(name):
    data = (vectors("public") / "ima" / "ibmtss" / name).read_bytes()
    frames = split_ima_list(data)
    assert as_entries(data) == parse_ima_list(data)
    assert frames.size_of(len(frames)) == len(data)


@pytest.mark.parametrize("bank", ["sha256", "sm3_256"])
def test_captured_quotes_prefix_is_the_one_that_the_slow_replay_finds(bank):
    home = vectors("ovmf-sm3")
    data = (home / "ima_bin").read_bytes()
    quoted = parse_pcr_values((home / "q_rsa.pcrs").read_bytes(), "q_rsa.pcrs")[bank][10]
    found = covered_by_quote(split_ima_list(data), bank, quoted)
    assert found.count == entries_quoted(parse_ima_list(data), bank, quoted)
    assert found.padded is (bank == "sm3_256")


def test_name_of_the_template_within_an_entry_does_not_cut_it():
    tricky = body(b"sha256:\0" + bytes(range(32)), b"/x\0", b"\x07\0\0\0ima-sig" + b"\5\0\0\0abcde")
    data = sig(PATHS[0]) + line("ima-sig", tricky) + sig(PATHS[1])
    assert as_entries(data) == parse_ima_list(data)


@given(st.lists(st.sampled_from(["ng", "sig", "buf", "violation"]), max_size=6), st.binary())
def test_mixed_lists_are_cut_as_they_are_read(kinds, content):
    make = {
        "ng": lambda path: ng(path, content),
        "sig": lambda path: sig(path, signature=content),
        "buf": lambda path: buf(path, content),
        "violation": violation,
    }
    data = b"".join(make[kind](path) for kind, path in zip(kinds, PATHS, strict=False))
    frames = split_ima_list(data)
    assert as_entries(data) == parse_ima_list(data)
    ends = [frames.size_of(count) for count in range(len(frames) + 1)]
    assert ends == sorted(ends)
    assert ends[-1] == len(data)
    made = kinds[: len(frames)]
    assert [frames.is_violation(n) for n in range(len(frames))] == [k == "violation" for k in made]


@given(st.binary(max_size=200), st.integers(0, 300))
def test_altered_list_is_cut_as_it_is_read_or_refused(noise, at):
    data = ng(PATHS[0]) + ng(PATHS[1]) + ng(PATHS[2])
    altered = data[:at] + noise + data[at + len(noise) :]
    try:
        read = parse_ima_list(altered)
    except ImaListError:
        return  # the cut need not refuse it: replay does
    assert as_entries(altered) == read


def test_cut_off_list_is_refused():
    data = ng(PATHS[0]) + ng(PATHS[1])
    with pytest.raises(ImaListError):
        split_ima_list(data[:-1])


def test_part_of_a_list_goes_on_from_where_the_last_one_ended():
    digests = [extended(one.hashed) for path in PATHS for one in as_entries(ng(path))]
    start, quoted = pcr10(*digests[:3]), pcr10(*digests[:6])
    part = b"".join(ng(path) for path in PATHS[3:])
    assert covered_by_quote(split_ima_list(part), "sha256", quoted, start).count == 3
    with pytest.raises(ImaListMismatch):
        covered_by_quote(split_ima_list(part), "sha256", quoted)


def test_violation_extends_all_ones_whatever_its_data():
    data = ng(PATHS[0]) + line("ima-ng", body(b"sha256:\0" + bytes(32), b"/f\0"), digest=bytes(20))
    first = as_entries(data)[0]
    quoted = pcr10(extended(first.hashed), b"\xff" * 32)
    found = covered_by_quote(split_ima_list(data), "sha256", quoted)
    assert (found.count, found.unknown) == (2, [0, 1])


def test_known_entry_spares_the_hash_and_never_the_replay():
    data = ng(PATHS[0]) + ng(PATHS[1])
    digests = [extended(one.hashed) for one in as_entries(data)]
    heads = split_ima_list(data).heads
    known = {heads[0]: digests[0]}
    frames = split_ima_list(data, known)
    found = covered_by_quote(frames, "sha256", pcr10(*digests))
    assert (found.unknown, found.digests) == ([1], digests[1:])
    with pytest.raises(ImaListMismatch):
        covered_by_quote(frames, "sha256", pcr10(*reversed(digests)))


def test_what_is_wrongly_known_gives_way_to_the_lists_own_words():
    data = ng(PATHS[0]) + ng(PATHS[1])
    digests = [extended(one.hashed) for one in as_entries(data)]
    wrong = {split_ima_list(data).heads[0]: hashlib.sha256(b"other").digest()}
    found = covered_by_quote(split_ima_list(data, wrong), "sha256", pcr10(*digests))
    assert (found.unknown, found.digests) == ([0, 1], digests)


def test_bad_entry_under_a_good_ones_name_is_looked_at_for_itself():
    first, good = as_entries(ng(PATHS[0]) + ng(PATHS[1]))
    bad = as_entries(ng("/evil"))[0]
    known = {good.template_digest: extended(good.hashed)}
    data = ng(PATHS[0]) + line("ima-ng", bad.hashed, digest=good.template_digest)
    quoted = pcr10(extended(first.hashed), extended(bad.hashed))
    assert covered_by_quote(split_ima_list(data), "sha256", quoted).unknown == [0, 1]
    found = covered_by_quote(split_ima_list(data, known), "sha256", quoted)
    assert (found.unknown, found.digests[1]) == ([0, 1], extended(bad.hashed))


def test_new_entry_that_lies_about_its_length_is_refused():
    lying = line("ima-ng", b"\0" * 7)
    lying = lying[:-11] + b"\6\0\0\0" + lying[-7:]
    data = ng(PATHS[0]) + lying + ng(PATHS[1])
    known = dict.fromkeys(split_ima_list(ng(PATHS[0]) + ng(PATHS[1])).heads, b"d" * 32)
    with pytest.raises(ImaListError):
        split_ima_list(data, known)


def test_entry_of_another_pcr_is_named():
    other = line("ima-ng", body(b"sha256:\0" + bytes(32), b"/f\0"), pcr=11)
    with pytest.raises(ImaListMismatch, match="entry 2 .* another PCR"):
        covered_by_quote(split_ima_list(ng(PATHS[0]) + other), "sha256", b"q" * 32)


def test_legacy_template_has_no_length_of_its_own():
    name = b"boot_aggregate"
    entry = b"\x0a\0\0\0" + hashlib.sha1(b"d" * 20 + name.ljust(256, b"\0")).digest()
    entry += b"\3\0\0\0ima" + b"d" * 20 + len(name).to_bytes(4, "little") + name
    frames = split_ima_list(entry * 2 + ng(PATHS[0]))
    assert frames.size_of(2) == 2 * len(entry)
    assert frames.size_of(3) == 2 * len(entry) + len(ng(PATHS[0]))


@pytest.mark.parametrize("place", [1, 2])
def test_entry_of_another_template_is_not_lost_behind_a_known_one(place):
    """It was swallowed by the known entry before it, and the list came to another value."""
    entries = [ng(PATHS[0]), ng(PATHS[1])]
    known = dict.fromkeys(split_ima_list(b"".join(entries)).heads, b"d" * 32)
    entries.insert(place, buf("selinux-state", b"initialized=1;enforcing=1;"))
    frames = split_ima_list(b"".join(entries), known)
    assert [frames.entry(n).template for n in range(len(frames))].index("ima-buf") == place
    assert [value is None for value in frames.known] == [n == place for n in range(3)]
    assert frames.size_of(place) == sum(map(len, entries[:place]))
