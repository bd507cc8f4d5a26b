# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2etrust_core.appraisal.ima_allowlist import Allowlist, file_key, read_allowlist
from e2etrust_core.errors import PolicyError


def key(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


@pytest.mark.parametrize("count", [0, 1, 7, 300, 20_000])
def test_keys_are_in_it_and_others_are_not(count):
    found = Allowlist(map(key, range(count)))
    assert len(found) == count
    assert found.absent([key(n) for n in range(count + 3)]) == [count, count + 1, count + 2]


@given(st.sets(st.binary(min_size=32, max_size=32)), st.binary(min_size=32, max_size=32))
def test_it_answers_as_a_set_does(keys, other):
    found = Allowlist(keys)
    assert all(one in found for one in keys)
    assert (other in found) is (other in keys)


def test_bytes_across_two_keys_are_no_key():
    first, second = b"\0" * 31 + b"\1", b"\0" * 30 + b"\2\3"
    found = Allowlist([first, second])
    across = (first + second)[4:36]
    assert across not in found
    assert first in found


def test_key_is_found_behind_its_own_bytes_across_two_others():
    first, second = b"\0" * 31 + b"\1", b"\0" * 31 + b"\2"
    across = (first + second)[30:62]
    assert across not in Allowlist([first, second])
    assert across in Allowlist([first, second, across])


def test_many_files_cost_few_bytes_each():
    found = Allowlist(map(key, range(100_000)))
    assert found.size < 34 * len(found)


def test_same_files_in_another_order_are_the_same_list():
    keys = [key(n) for n in range(500)]
    assert Allowlist(keys).digest == Allowlist(reversed(keys + keys[:9])).digest


def test_lines_of_sha256sum_are_read(tmp_path):
    names = ["plain", "with space", "new\nline", "back\\slash"]
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    paths = [str(tmp_path / name) for name in names]
    told = subprocess.run(["sha256sum", *paths], capture_output=True, check=True).stdout
    found = read_allowlist(told.splitlines(keepends=True))
    for name, path in zip(names, paths, strict=True):
        digest = hashlib.sha256(name.encode()).digest()
        measured = path.replace(" ", "_").encode()  # as ima_template_lib.c writes names
        assert file_key("sha256", digest, measured) in found
        assert file_key("sha256", digest, measured + b"x") not in found


def test_digest_is_good_for_its_own_path_hash_and_kind_only():
    digest = bytes(range(32))
    found = read_allowlist([b"# files\n", b"\n", b"sm3:" + digest.hex().encode() + b"  /bin/a\n"])
    assert file_key("sm3", digest, b"/bin/a") in found
    assert file_key("sha256", digest, b"/bin/a") not in found
    assert file_key("sm3", digest, b"/bin/b") not in found
    assert file_key("sm3", digest, b"/bin/a", verity=True) not in found


def test_sm3_is_named_as_the_kernel_names_it():
    digest = bytes(range(32))
    found = read_allowlist([b"sm3-256:" + digest.hex().encode() + b"  /bin/a\n"])
    assert file_key("sm3-256", digest, b"/bin/a") in found
    assert file_key("sm3", digest, b"/bin/a") not in found


@pytest.mark.parametrize(
    "line",
    [
        b"zz  /bin/a",
        b"00  /bin/a",
        b"00" * 32,
        b"00" * 32 + b" /bin/a",
        b"sha1:" + b"00" * 32 + b"  /bin/a",
        b"md5:" + b"00" * 16 + b"  /bin/a",
        b"00" * 32 + b"  /" + b"a" * 9000,
    ],
)
def test_line_that_is_none_is_named(line):
    with pytest.raises(PolicyError, match="line 2"):
        read_allowlist([b"# a", line])
