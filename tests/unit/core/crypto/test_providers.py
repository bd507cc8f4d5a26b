# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
import json
import secrets
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from e2etrust_core import crypto
from e2etrust_core.crypto import openssl_provider, selection
from e2etrust_core.crypto.gmssl_provider import GmsslProvider
from e2etrust_core.crypto.openssl_provider import OpensslProvider
from e2etrust_core.crypto.provider import B, N, P, PointWrong
from e2etrust_core.errors import InputError, SuiteError
from e2etrust_core.evidence.tpm_structures import encode_keyed_hash_public, name_of
from e2etrust_core.suites import HASHES
from tests.vectors import vectors

# GB/T 32918.5, annex A: key and signature.
KEY = crypto.Sm2PublicKey(
    0x09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020,
    0xCCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13,
)
R = 0xF5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3
S = 0xB1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA
PROVIDERS = (OpensslProvider(), GmsslProvider())


@pytest.fixture(autouse=True)
def both() -> Iterator[None]:
    yield
    crypto.select("openssl", second_opinion="gmssl")


def the_standards_e() -> bytes:
    """e of the annex's message, made here by the standard's own recipe (5.5 and 6.1)."""
    a, b = P - 3, B
    gx = 0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7
    gy = 0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0
    identity = b"1234567812345678"
    parts = (n.to_bytes(32, "big") for n in (a, b, gx, gy, KEY.x, KEY.y))
    z = (len(identity) * 8).to_bytes(2, "big") + identity + b"".join(parts)
    return hashlib.new("sm3", hashlib.new("sm3", z).digest() + b"message digest").digest()


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_signature_of_the_standard_verifies(provider):
    assert provider.sm2_verify(KEY, the_standards_e(), R, S)


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_altered_signature_or_digest_does_not_verify(provider):
    e = the_standards_e()
    assert not provider.sm2_verify(KEY, e, R ^ 1, S)
    assert not provider.sm2_verify(KEY, e, R, S ^ 1)
    assert not provider.sm2_verify(KEY, bytes([e[0] ^ 1]) + e[1:], R, S)


def test_loaded_key_serves_many_threads_at_once():
    e = the_standards_e()
    with ThreadPoolExecutor(4) as pool:
        said = pool.map(lambda n: OpensslProvider().sm2_verify(KEY, e, R ^ n % 2, S), range(100))
    assert list(said) == [True, False] * 50


def test_loaded_keys_are_bounded_and_let_go():
    load = openssl_provider._load
    assert load.cache_info().maxsize == openssl_provider.KEYS_LOADED
    loaded = weakref.ref(load(KEY))
    assert load(KEY) is loaded()
    load.cache_clear()
    assert loaded() is None


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_sm3_is_that_of_the_standard(provider):
    # GB/T 32905, A.1 and A.2
    assert provider.sm3(b"abc").hex() == (
        "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    )
    assert provider.sm3(b"abcd" * 16).hex() == (
        "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"
    )


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_corpus_messages_hash_as_published(provider):
    cases = json.loads((vectors("public") / "sm" / "sm3.json").read_text())["sm3TestVector"]
    assert len(cases) > 50
    assert all(provider.sm3(bytes.fromhex(one["in"])).hex() == one["out"] for one in cases)


@pytest.mark.parametrize(
    ("r", "s"), [(0, S), (R, 0), (R + N, S), (R, S + N), (-R, S), (N, S), (1, N - 1)]
)
def test_numbers_out_of_range_never_reach_a_provider(r, s):
    assert crypto.sm2_verify(KEY, the_standards_e(), R, S)
    assert not crypto.sm2_verify(KEY, the_standards_e(), r, s)


@pytest.mark.parametrize(("x", "y"), [(0, 0), (KEY.x, KEY.y ^ 1), (KEY.x + P, KEY.y), (-1, 5)])
def test_point_off_the_curve_is_no_key(x, y):
    with pytest.raises(PointWrong):
        crypto.Sm2PublicKey(x, y)


def test_key_whose_hex_begins_with_04_is_not_cut():
    # gmssl's own constructor would strip the front of such a key.
    key = next(points_that_begin_with_04())
    answers = [provider.sm2_verify(key, the_standards_e(), R, S) for provider in PROVIDERS]
    assert answers == [False, False]


def points_that_begin_with_04() -> Iterator[crypto.Sm2PublicKey]:
    for x in range(0x04 << 248, (0x04 << 248) + 64):
        square = (x * x * x - 3 * x + B) % P
        y = pow(square, (P + 1) // 4, P)
        if y * y % P == square:
            yield crypto.Sm2PublicKey(x, y)


class Liar(OpensslProvider):
    name = "liar"

    def sm2_verify(self, *_: Any) -> bool:
        return True

    def sm3(self, data: bytes) -> bytes:
        return bytes(32)

    def sm4_decrypt(self, key: bytes, blocks: bytes) -> bytes:
        return blocks


def test_opinions_that_differ_are_a_refusal(monkeypatch):
    monkeypatch.setattr(selection, "_selected", (OpensslProvider(), Liar()))
    with pytest.raises(crypto.OpinionsDiffer):
        crypto.sm2_verify(KEY, the_standards_e(), R, S ^ 1)
    with pytest.raises(crypto.OpinionsDiffer):
        crypto.digest_of("sm3", b"abc")
    assert crypto.digest_of("sha256", b"abc") == hashlib.sha256(b"abc").digest()


def test_tests_ask_for_a_second_opinion_always():
    assert [provider.name for provider in crypto.selected()] == ["openssl", "gmssl"]


@pytest.mark.parametrize("names", [("nobody", ""), ("openssl", "nobody"), ("openssl", "openssl")])
def test_provider_that_is_none_is_refused_and_the_choice_stays(names):
    with pytest.raises(SuiteError):
        crypto.select(*names)
    assert [provider.name for provider in crypto.selected()] == ["openssl", "gmssl"]


def test_no_provider_signs_or_encrypts():
    for provider in PROVIDERS:
        names = [name for name in dir(provider) if "sign" in name or "encrypt" in name]
        assert names == []


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_sm4_block_of_the_standard_is_decrypted(provider):
    # GB/T 32907, A.1
    key = bytes.fromhex("0123456789abcdeffedcba9876543210")
    assert provider.sm4_decrypt(key, bytes.fromhex("681edf34d206965e86b3e94f536e4246")) == key


def test_sm4_blocks_come_out_as_another_side_put_them_in():
    key, plain = secrets.token_bytes(16), secrets.token_bytes(16 * 9)
    encryptor = Cipher(algorithms.SM4(key), modes.ECB()).encryptor()
    hidden = encryptor.update(plain) + encryptor.finalize()
    assert crypto.sm4_decrypt(key, hidden) == plain
    assert crypto.sm4_decrypt(key, b"") == b""


@pytest.mark.parametrize(("key", "blocks"), [(15, 16), (17, 16), (16, 15), (16, 17)])
def test_part_of_an_sm4_key_or_block_never_reaches_a_provider(key, blocks):
    with pytest.raises(InputError):
        crypto.sm4_decrypt(bytes(key), bytes(blocks))


def test_name_of_a_key_that_is_named_by_sm3_has_a_second_opinion(monkeypatch):
    public = encode_keyed_hash_public(HASHES["sm3_256"], 0, b"", bytes(32))
    assert name_of(public)[2:] == hashlib.new("sm3", public).digest()
    monkeypatch.setattr(selection, "_selected", (OpensslProvider(), Liar()))
    with pytest.raises(crypto.OpinionsDiffer):
        name_of(public)
    with pytest.raises(crypto.OpinionsDiffer):
        crypto.sm4_decrypt(bytes(16), bytes(16))
