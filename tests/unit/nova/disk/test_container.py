# SPDX-License-Identifier: Apache-2.0
import hashlib
import hmac
from pathlib import Path

import pytest

from e2etrust_nova.disk import container
from e2etrust_nova.errors import ContainerError

INSTANCE = "11111111-2222-3333-4444-555555555555"
KEY = bytes(range(32))
BASE = Path("/var/lib/nova/instances/_base/" + "a" * 40)


@pytest.fixture
def header():
    return container.new_header(INSTANCE, "k" * 36, b"d" * 32, (1 << 30) + 1, 1 << 30, BASE)


@pytest.fixture
def raw(header):
    return container.encode(header, container.derive(KEY, header))


def file_size(header):
    return container.HEADER_SIZE + header.size


def test_header_reads_back(header, raw):
    assert len(raw) == container.HEADER_SIZE
    assert container.decode(raw, file_size(header)) == header


def test_size_is_whole_mebibytes(header):
    assert header.size == (1 << 30) + (1 << 20)


def test_salts_differ_from_container_to_container(header):
    other = container.new_header(INSTANCE, "k" * 36, b"d" * 32, 1 << 30, 1 << 30, BASE)
    assert other.salt != header.salt
    assert container.derive(KEY, other).data != container.derive(KEY, header).data


def test_keys_are_hkdf_of_rfc_5869(header):
    info = b"e2etrust container v1 " + INSTANCE.encode()
    prk = hmac.digest(header.salt, KEY, "sha256")
    one = hmac.digest(prk, info + b"\x01", "sha256")
    two = hmac.digest(prk, one + info + b"\x02", "sha256")
    keys = container.derive(KEY, header)
    assert (keys.data, keys.mac) == (one, two)


def test_keys_are_not_printed(header):
    keys = container.derive(KEY, header)
    assert keys.data.hex() not in repr(keys)
    assert repr(keys.data) not in repr(keys)


def test_right_key_is_accepted_and_another_named(header, raw):
    container.check_mac(raw, container.derive(KEY, header))
    with pytest.raises(ContainerError) as refused:
        container.check_mac(raw, container.derive(bytes(32), header))
    assert refused.value.code == "KEY_WRONG"


@pytest.mark.parametrize("at", [8, 12, 16, 48, 84, 148, 180, 188, 196, 2000, 4031])
def test_damage_anywhere_fails_the_checksum(header, raw, at):
    broken = bytearray(raw)
    broken[at] ^= 1
    with pytest.raises(ContainerError, match="checksum"):
        container.decode(bytes(broken), file_size(header))


@pytest.mark.parametrize("at", [16, 48, 84, 148, 188, 196])
def test_change_with_a_new_checksum_fails_the_mac(header, raw, at):
    forged = bytearray(raw[:4032])
    forged[at] ^= 1
    forged += hashlib.sha256(forged).digest() + raw[4064:]
    decoded = container.decode(bytes(forged), file_size(header))
    with pytest.raises(ContainerError) as refused:
        container.check_mac(bytes(forged), container.derive(KEY, decoded))
    assert refused.value.code == "KEY_WRONG"


def test_unknown_version_is_named(header, raw):
    other = bytearray(raw[:4032])
    other[8] = 2
    other += hashlib.sha256(other).digest() + raw[4064:]
    with pytest.raises(ContainerError) as refused:
        container.decode(bytes(other), file_size(header))
    assert refused.value.code == "CONTAINER_VERSION"


@pytest.mark.parametrize("difference", [-1, 1, 4096])
def test_file_of_another_length_is_refused(header, raw, difference):
    with pytest.raises(ContainerError, match="size"):
        container.decode(raw, file_size(header) + difference)


@pytest.mark.parametrize("junk", [b"", b"E2ETCONT", bytes(4096)])
def test_junk_is_no_container(junk):
    with pytest.raises(ContainerError):
        container.decode(junk, 1 << 30)


def test_long_path_is_refused_and_not_cut(header):
    long = container.ContainerHeader(
        header.salt, INSTANCE, "k", b"d" * 32, 4096, 1, Path("/" + "x" * 1024)
    )
    with pytest.raises(ContainerError, match="longer"):
        container.encode(long, container.derive(KEY, long))
