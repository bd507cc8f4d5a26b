# SPDX-License-Identifier: Apache-2.0
"""SM4-XTS against published vectors, a textbook XTS, and libgcrypt's own XTS."""

from __future__ import annotations

import ctypes
import json
import random
import threading

import pytest

from e2etrust_core.sealed import gcrypt
from e2etrust_core.sealed.sm4xts import Sm4Xts
from tests.unit.core.sealed import textbook_xts
from tests.vectors import vectors

KEY = bytes(range(100, 132))

# IEEE Std 1619-2018 annex B vectors 1 to 3, keys and data as there, with SM4 as the cipher
# (as published with emmansun/gmsm).
PUBLISHED = [
    (bytes(32), 0, bytes(32), "d9b421f731c894fdc35b77291fe4e3b02a1fb76698d59f0e51376c4ada5bc75d"),
    (
        b"\x11" * 16 + b"\x22" * 16,
        0x3333333333,
        b"\x44" * 32,
        "a74d726c11196a32be04e001ff29d0c7932f9f3ec29bfcb64dd17f63cbd3ea31",
    ),
    (
        bytes.fromhex("fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0") + b"\x22" * 16,
        0x3333333333,
        b"\x44" * 32,
        "7f76088effadf70c02ea9f95da0628d351bfcb9eac0563bcf17b710dab0a9826",
    ),
]


@pytest.mark.parametrize(("key", "sector", "plain", "expected"), PUBLISHED)
def test_published_ieee_vectors_hold_both_ways(key, sector, plain, expected):
    cipher = Sm4Xts(key)
    buffer = bytearray(plain)
    cipher.encrypt_into(buffer, sector, 32)
    assert buffer.hex() == expected
    cipher.decrypt_into(buffer, sector, 32)
    assert buffer == plain


@pytest.mark.parametrize(
    ("doubling", "holds"), [("xtsTestVectors", True), ("gbXtsTestVectors", False)]
)
def test_corpus_vectors_of_ieee_hold_and_those_of_gb_t_17964_do_not(doubling, holds):
    cases = json.loads((vectors("public") / "sm" / "xts_sm4.json").read_text())[doubling]
    whole = [case for case in cases if len(case["plaintext"]) % 32 == 0]
    assert len(whole) == 5
    for case in whole:
        buffer = bytearray.fromhex(case["plaintext"])
        Sm4Xts(bytes.fromhex(case["key"])).encrypt_into(buffer, int(case["sector"], 0), len(buffer))
        assert (buffer.hex() == case["ciphertext"].lower()) == holds


@pytest.mark.parametrize(
    ("sector_size", "iv_step"), [(512, 1), (4096, 1), (4096, 8), (16, 1), (1024, 2)]
)
@pytest.mark.parametrize("sectors", [1, 2, 3, 37])
def test_textbook_xts_agrees(sector_size, iv_step, sectors):
    data = random.Random(sectors).randbytes(sector_size * sectors)
    sector = (1 << 40) + 12345
    buffer = bytearray(data)
    Sm4Xts(KEY).encrypt_into(buffer, sector, sector_size, iv_step)
    assert buffer == textbook_xts.crypt(KEY, data, sector, sector_size, iv_step, encrypt=True)
    decrypted = bytearray(data)
    Sm4Xts(KEY).decrypt_into(decrypted, sector, sector_size, iv_step)
    assert decrypted == textbook_xts.crypt(KEY, data, sector, sector_size, iv_step)


def libgcrypt_xts(key: bytes, data: bytes, sector: int, sector_size: int) -> bytes:
    """libgcrypt's own XTS; it advances the tweak by itself from call to call."""
    library = gcrypt.library()
    library.gcry_cipher_encrypt.argtypes = [
        ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t
    ]  # fmt: skip
    handle = ctypes.c_void_p()
    mode_xts = 13
    assert library.gcry_cipher_open(ctypes.byref(handle), gcrypt.SM4, mode_xts, 0) == 0
    assert library.gcry_cipher_setkey(handle, key, 32) == 0
    assert library.gcry_cipher_setiv(handle, sector.to_bytes(16, "little"), 16) == 0
    out = b""
    for at in range(0, len(data), sector_size):
        piece = ctypes.create_string_buffer(sector_size)
        source = data[at : at + sector_size]
        assert library.gcry_cipher_encrypt(handle, piece, sector_size, source, sector_size) == 0
        out += piece.raw
    library.gcry_cipher_close(handle)
    return out


@pytest.mark.parametrize("sector_size", [512, 4096])
def test_libgcrypts_own_xts_agrees_over_more_than_one_round(sector_size):
    data = random.Random(1).randbytes(300 * 1024)
    buffer = bytearray(data)
    Sm4Xts(KEY).encrypt_into(buffer, 7, sector_size)
    assert bytes(buffer) == libgcrypt_xts(KEY, data, 7, sector_size)


def test_last_sector_number_is_2_to_the_64_minus_1():
    buffer = bytearray(1024)
    Sm4Xts(KEY).encrypt_into(buffer, (1 << 64) - 2)
    assert buffer == textbook_xts.crypt(KEY, bytes(1024), (1 << 64) - 2, 512, encrypt=True)
    with pytest.raises(ValueError, match="64 bits"):
        Sm4Xts(KEY).encrypt_into(buffer, (1 << 64) - 1)


def test_the_middle_of_a_buffer_is_changed_and_nothing_around_it():
    buffer = bytearray(b"\xaa" * 2000)
    Sm4Xts(KEY).encrypt_into(memoryview(buffer)[101 : 101 + 1024], 5)
    assert buffer[:101] == b"\xaa" * 101
    assert buffer[1125:] == b"\xaa" * 875
    assert buffer[101:1125] == textbook_xts.crypt(KEY, b"\xaa" * 1024, 5, 512, encrypt=True)


@pytest.mark.parametrize(
    ("buffer", "sector", "sector_size"),
    [
        (bytearray(511), 0, 512),
        (bytes(512), 0, 512),
        (bytearray(512), -1, 512),
        (bytearray(24), 0, 24),
        (bytearray(8), 0, 8),
    ],
)
def test_arguments_that_do_not_fit_are_refused(buffer, sector, sector_size):
    with pytest.raises(ValueError, match="sector"):
        Sm4Xts(KEY).decrypt_into(buffer, sector, sector_size)


def test_a_key_of_another_length_is_refused():
    with pytest.raises(ValueError, match="32 bytes"):
        Sm4Xts(bytes(16))


def test_a_closed_key_no_longer_works_in_any_thread():
    cipher = Sm4Xts(KEY)
    cipher.encrypt_into(bytearray(512), 0)
    cipher.close()
    with pytest.raises(ValueError, match="closed"):
        cipher.encrypt_into(bytearray(512), 0)
    failures = []

    def use() -> None:
        try:
            cipher.encrypt_into(bytearray(512), 0)
        except ValueError as error:
            failures.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert len(failures) == 1


def test_threads_share_one_key_without_mixing():
    cipher = Sm4Xts(KEY)
    plain = random.Random(2).randbytes(64 * 1024)
    expected = {n: textbook_xts.crypt(KEY, plain[:1024], n, 512, encrypt=True) for n in range(8)}
    wrong = []

    def work(number: int) -> None:
        for _ in range(30):
            buffer = bytearray(plain)
            cipher.encrypt_into(buffer, number)
            if buffer[:1024] != expected[number]:
                wrong.append(number)
            cipher.decrypt_into(buffer, number)
            if buffer != plain:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_sm3_over_pieces_is_sm3_over_their_sum():
    assert gcrypt.sm3(b"a", b"", bytearray(b"b"), memoryview(b"xcx")[1:2]).hex() == (
        "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"  # GB/T 32905 A.1
    )
    assert gcrypt.sm3(*[b"abcd"] * 16).hex() == (
        "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"  # GB/T 32905 A.2
    )
