# SPDX-License-Identifier: Apache-2.0
"""The encrypted span against a plain bytearray that gets the same writes."""

import errno
import os
import random
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2etrust_core.sealed.sm4xts import Sm4Xts
from e2etrust_nova.disk.cipher_file import SECTOR, CipherFile

KEY = bytes(range(32))
START, SIZE = 4096, 16 * SECTOR


@pytest.fixture
def descriptor():
    fd = os.memfd_create("container")
    os.ftruncate(fd, START + SIZE)
    yield fd
    os.close(fd)


@pytest.fixture
def file(descriptor):
    return CipherFile(descriptor, START, SIZE, Sm4Xts(KEY))


def read(file, offset, size):
    return bytes(file.read(bytearray(size + 2 * SECTOR), offset, size))


def write(file, offset, data):
    file.write(memoryview(bytearray(data)), offset)


def test_fresh_span_reads_as_zeros(file):
    assert read(file, 0, SIZE) == bytes(SIZE)


def test_what_is_written_stands_encrypted_on_disk(file, descriptor):
    write(file, 0, b"secret" * 2000)
    stored = os.pread(descriptor, START + SIZE, 0)
    assert b"secret" not in stored
    assert read(file, 0, 12000) == b"secret" * 2000


def test_ciphertext_is_sm4_xts_of_4096_byte_sectors(file, descriptor):
    write(file, 3 * SECTOR, bytes([7]) * SECTOR)
    expected = bytearray(bytes([7]) * SECTOR)
    Sm4Xts(KEY).encrypt_into(expected, 3, SECTOR)
    assert os.pread(descriptor, SECTOR, START + 3 * SECTOR) == expected


def test_written_zeros_are_told_from_never_written(file, descriptor):
    write(file, 0, bytes(SECTOR))
    assert os.pread(descriptor, SECTOR, START) != bytes(SECTOR)
    assert read(file, 0, SECTOR) == bytes(SECTOR)


def test_read_past_the_end_is_short(file):
    write(file, SIZE - 3, b"end")
    assert read(file, SIZE - 3, 100) == b"end"
    assert read(file, SIZE, 100) == b""


def test_write_past_the_end_is_refused_and_nothing_is_written(file):
    with pytest.raises(OSError, match="too large") as refused:
        write(file, SIZE - 1, b"ab")
    assert refused.value.errno == errno.EFBIG
    assert read(file, SIZE - 1, 1) == b"\0"


def test_container_cut_short_is_an_error_not_zeros(file, descriptor):
    os.ftruncate(descriptor, START + SECTOR)
    with pytest.raises(OSError, match="shorter"):
        read(file, SECTOR, 1)


def test_discard_frees_whole_sectors_and_zeroes_the_edges(file, descriptor):
    write(file, 0, b"x" * SIZE)
    file.discard(100, 3 * SECTOR)
    wanted = b"x" * 100 + bytes(3 * SECTOR) + b"x" * (SIZE - 3 * SECTOR - 100)
    assert read(file, 0, SIZE) == wanted
    assert os.pread(descriptor, 2 * SECTOR, START + SECTOR) == bytes(2 * SECTOR)
    assert os.fstat(descriptor).st_blocks * 512 <= START + SIZE - 2 * SECTOR


def test_another_key_reads_another_thing(file, descriptor):
    write(file, 0, b"y" * SECTOR)
    other = CipherFile(descriptor, START, SIZE, Sm4Xts(KEY[::-1]))
    assert read(other, 0, SECTOR) != b"y" * SECTOR


operations = st.lists(
    st.tuples(
        st.sampled_from(["write", "discard", "read"]),
        st.integers(0, SIZE - 1),
        st.integers(1, 3 * SECTOR),
        st.integers(0, 255),
    ),
    max_size=12,
)


@settings(max_examples=150)
@given(operations)
def test_any_mix_of_operations_is_as_on_a_plain_file(todo):
    descriptor = os.memfd_create("container")
    try:
        os.ftruncate(descriptor, START + SIZE)
        file, plain = CipherFile(descriptor, START, SIZE, Sm4Xts(KEY)), bytearray(SIZE)
        for kind, offset, length, byte in todo:
            size = min(length, SIZE - offset)
            if kind == "write":
                write(file, offset, bytes([byte]) * size)
                plain[offset : offset + size] = bytes([byte]) * size
            elif kind == "discard":
                file.discard(offset, size)
                plain[offset : offset + size] = bytes(size)
            assert read(file, offset, size) == plain[offset : offset + size]
        assert read(file, 0, SIZE) == plain
    finally:
        os.close(descriptor)


def test_threads_that_share_sectors_undo_nothing_and_see_no_garbage(file):
    """Each thread owns every fourth 512 bytes, so every 4096-byte sector has four writers."""
    faults = []

    def worker(mine):
        dice, kept = random.Random(mine), {}
        for _ in range(400):
            slot = dice.randrange(SIZE // 2048) * 4 + mine
            if slot in kept and read(file, slot * 512, 512) != kept[slot]:
                faults.append(slot)
            kept[slot] = dice.randbytes(512)
            write(file, slot * 512, kept[slot])
        faults.extend(s for s, data in kept.items() if read(file, s * 512, 512) != data)

    threads = [threading.Thread(target=worker, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
