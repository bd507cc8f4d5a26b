# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib

import pytest

from e2etrust_core.evidence.hash_chain import chain_end, chain_values, hash_each
from e2etrust_core.suites import HASHES

DATA = [b"", b"a", b"b" * 5000, b"a"]
NAMES = sorted({one.hashlib_name for one in HASHES.values()})


@pytest.mark.parametrize("name", NAMES)
def test_each_digest_is_hashlibs(name):
    assert hash_each(name, DATA) == [hashlib.new(name, one).digest() for one in DATA]


@pytest.mark.parametrize("name", NAMES)
def test_chain_is_what_a_pcr_makes_of_the_digests(name):
    digests, value = hash_each(name, DATA), bytes(hashlib.new(name).digest_size)
    expected = [value]
    for digest in digests:
        value = hashlib.new(name, value + digest).digest()
        expected.append(value)
    assert list(chain_values(name, expected[0], digests)) == expected
    assert chain_end(name, expected[0], digests) == expected[-1]
    assert chain_end(name, expected[0], []) == expected[0]
