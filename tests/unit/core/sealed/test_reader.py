# SPDX-License-Identifier: Apache-2.0
"""Opening and reading a sealed file that somebody changed."""

from __future__ import annotations

import hashlib
import json
import os
import random
import threading

import pytest

from e2etrust_core.sealed import luks2, luks2_json, merkle, sealing
from e2etrust_core.sealed.errors import SealedImageError
from e2etrust_core.sealed.extents import Extent
from e2etrust_core.sealed.image import SealedImage
from e2etrust_core.sealed.reader import SealedReader

KEY = bytes(range(32))
DISK = 3 << 20
EXTENTS = [Extent(0, 4096), Extent(65536, 200 * 1024), Extent(DISK - 8192, 8192)]
PLAIN = random.Random(7).randbytes(DISK)


@pytest.fixture
def sealed(tmp_path):
    """A sealed file made from a map of our own; the disk's content needs no file system."""
    path = tmp_path / "sealed"
    path.write_bytes(PLAIN)
    request = sealing.SealRequest(path, path, "12345678-1234-1234-1234-123456789abc", "main")
    leaves = sealing._encrypt(path, EXTENTS, KEY, lambda *_: None)
    sealing._append_trailer(path, DISK, EXTENTS, leaves, KEY, request)
    return path


def change(path, offset, data):
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def rewrite(path, edit):
    """Alter the JSON as an attacker would: both copies, checksums fixed, sizes kept."""
    image = SealedImage.open(path)
    document = json.loads(json.dumps(image.header.metadata.document))
    edit(document)
    size = image.header.size
    text = luks2_json.dump(document)
    change(path, image.footer.header_offset,
           luks2.write(text, size, image.header.uuid, (b"a" * 64, b"b" * 64)))  # fmt: skip


def code_of(action):
    with pytest.raises(SealedImageError) as caught:
        action()
    assert caught.value.remedy
    return caught.value.code


def test_every_byte_reads_as_it_was(sealed):
    with SealedReader(SealedImage.open(sealed), KEY, cached_leaves=2) as reader:
        assert reader.read(DISK, 0) == PLAIN
        places = random.Random(8)
        for _ in range(200):
            at, size = places.randrange(DISK), places.randrange(200_000)
            assert reader.read(size, at) == PLAIN[at : at + size]
        assert reader.read(100, DISK - 10) == PLAIN[-10:]
        assert reader.read(100, DISK) == b""
        assert reader.read(100, DISK + 512) == b""


def test_only_the_map_is_encrypted(sealed):
    data = sealed.read_bytes()
    for extent in EXTENTS:
        assert data[extent.offset : extent.end] != PLAIN[extent.offset : extent.end]
    assert data[4096:65536] == PLAIN[4096:65536]


def test_threads_read_the_same(sealed):
    wrong = []
    with SealedReader(SealedImage.open(sealed), KEY, cached_leaves=1) as reader:

        def work(seed):
            places = random.Random(seed)
            for _ in range(60):
                at, size = places.randrange(DISK), places.randrange(100_000)
                if reader.read(size, at) != PLAIN[at : at + size]:
                    wrong.append(at)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_another_key_is_refused_at_once(sealed):
    assert code_of(lambda: SealedReader(SealedImage.open(sealed), bytes(32))) == "KEY_WRONG"
    assert code_of(lambda: SealedReader(SealedImage.open(sealed), KEY[:16])) == "KEY_WRONG"


@pytest.mark.parametrize("offset", [0, 4095, 65536, 65536 + 200 * 1024 - 1, DISK - 1])
def test_one_altered_protected_byte_is_refused_and_the_rest_still_reads(sealed, offset):
    original = sealed.read_bytes()[offset]
    change(sealed, offset, bytes([original ^ 1]))
    with SealedReader(SealedImage.open(sealed), KEY) as reader:
        assert code_of(lambda: reader.read(1, offset)) == "PROTECTED_DATA_ALTERED"
        assert reader.read(512, 8192) == PLAIN[8192:8704]


def test_swapped_leaves_are_refused(sealed):
    data = sealed.read_bytes()
    first, second = data[65536 : 2 * 65536], data[2 * 65536 : 3 * 65536]
    change(sealed, 65536, second + first)
    with SealedReader(SealedImage.open(sealed), KEY) as reader:
        assert code_of(lambda: reader.read(512, 65536)) == "PROTECTED_DATA_ALTERED"


def test_altered_hashes_are_refused(sealed):
    at = SealedImage.open(sealed).footer.hash_offset
    change(sealed, at + merkle.HASH, b"\0")
    with SealedReader(SealedImage.open(sealed), KEY) as reader:
        assert code_of(lambda: reader.read(512, 0)) == "HASH_AREA_BROKEN"
    change(sealed, at, b"\0" * 4)
    assert code_of(lambda: SealedImage.open(sealed)) == "HASH_AREA_BROKEN"


def test_a_header_rewritten_without_the_key_is_refused(sealed):
    def edit(document):
        document["tokens"]["0"]["created"] = "2020-01-01T00:00:00+00:00"

    rewrite(sealed, edit)
    assert code_of(lambda: SealedReader(SealedImage.open(sealed), KEY)) == "HEADER_FORGED"


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (lambda d: d["digests"]["0"].update(digest=""), "TOKEN_FOREIGN"),
        # A megabyte of digest would be hours of PBKDF2 on the host.
        (lambda d: d["digests"]["0"].update(digest="AAAA" * 1000), "TOKEN_FOREIGN"),
        (lambda d: d["digests"]["0"].update(iterations=1_000_001), "TOKEN_FOREIGN"),
        (lambda d: d["config"].update(x="\ud800"), "HEADER_FORGED"),
        (lambda d: d["config"].update(x=10**300), "HEADER_FORGED"),
    ],
)
def test_values_that_no_sealing_writes_are_refused_by_name(sealed, edit, code):
    rewrite(sealed, edit)
    assert code_of(lambda: SealedReader(SealedImage.open(sealed), KEY)) == code


def test_protection_taken_from_a_segment_is_refused(sealed):
    """An attacker turns a crypt segment into a linear one with hashes that fit the rest."""
    data = sealed.read_bytes()
    image = SealedImage.open(sealed)
    rest = EXTENTS[1:]
    leaves = [
        merkle.leaf_hash(place, data[place.offset : place.end])
        for place in merkle.LeafMap(rest).leaves()
    ]
    hashes, root = merkle.build(leaves, merkle.LEAF_SIZE, DISK)

    def edit(document):
        document["tokens"]["0"]["root"] = root.hex()
        first = document["segments"]["0"]
        document["segments"]["0"] = {"type": "linear", "offset": "0", "size": first["size"]}
        document["digests"]["0"]["segments"].remove("0")

    rewrite(sealed, edit)
    change(sealed, image.footer.hash_offset, hashes.ljust(image.footer.hash_size, b"\0"))
    assert SealedImage.open(sealed).segments[0].kind == "linear"
    assert code_of(lambda: SealedReader(SealedImage.open(sealed), KEY)) == "HEADER_FORGED"


def test_a_file_replaced_after_the_check_is_refused(sealed):
    image = SealedImage.open(sealed)
    rewrite(sealed, lambda document: None)
    assert code_of(lambda: SealedReader(image, KEY)) == "IMAGE_CHANGED"


def token(name, value):
    return lambda d: d["tokens"]["0"].__setitem__(name, value)


def segment(number, name, value):
    return lambda d: d["segments"][number].__setitem__(name, value)


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (token("type", "other"), "TOKEN_FOREIGN"),
        (token("version", 2), "TOKEN_FOREIGN"),
        (token("root", "00"), "TOKEN_FOREIGN"),
        (token("key_id", "../secret"), "TOKEN_FOREIGN"),
        (token("extra", 1), "TOKEN_FOREIGN"),
        (token("disk_size", DISK - 512), "TOKEN_FOREIGN"),
        (token("layout", "half"), "TOKEN_FOREIGN"),
        (lambda d: d["tokens"].clear(), "TOKEN_FOREIGN"),
        (lambda d: d["tokens"].update({"1": d["tokens"]["0"]}), "TOKEN_FOREIGN"),
        (segment("1", "offset", "0"), "SEGMENTS_OVERLAP"),
        (segment("1", "size", "4096"), "SEGMENTS_OVERLAP"),
        (segment("4", "size", "dynamic"), "SEGMENTS_OVERLAP"),
        (segment("0", "encryption", "aes-xts-plain64"), "CIPHER_UNSUPPORTED"),
        (segment("2", "iv_tweak", "0"), "CIPHER_UNSUPPORTED"),
        (segment("1", "type", "zero"), "CIPHER_UNSUPPORTED"),
        (lambda d: d["config"].update(requirements={"mandatory": ["x"]}), "CIPHER_UNSUPPORTED"),
        (lambda d: d["digests"].clear(), "HEADER_BROKEN"),
    ],
)
def test_a_header_that_is_not_ours_is_refused_by_name(sealed, edit, code):
    rewrite(sealed, edit)
    assert code_of(lambda: SealedImage.open(sealed)) == code


def test_both_header_copies_broken_is_refused_and_one_is_not(sealed):
    image = SealedImage.open(sealed)
    change(sealed, image.footer.header_offset, b"XXXX")
    assert SealedImage.open(sealed).header.copy == 1
    change(sealed, image.footer.header_offset + image.header.size + 600, b"XXXX")
    assert code_of(lambda: SealedImage.open(sealed)) == "HEADER_BROKEN"


def test_a_file_without_footer_is_not_sealed(tmp_path):
    for number, data in enumerate([b"", b"short", bytes(4096), PLAIN[:40960]]):
        path = tmp_path / str(number)
        path.write_bytes(data)
        assert code_of(lambda path=path: SealedImage.open(path)) == "NOT_SEALED"


def test_a_cut_file_is_not_sealed(sealed):
    os.truncate(sealed, sealed.stat().st_size - 4096)
    assert code_of(lambda: SealedImage.open(sealed)) == "NOT_SEALED"


def test_a_spoiled_footer_is_refused(sealed):
    at = SealedImage.open(sealed).footer.offset
    change(sealed, at + 100, b"!")
    assert code_of(lambda: SealedImage.open(sealed)) == "FOOTER_BROKEN"


def test_a_footer_that_was_moved_is_refused(sealed):
    footer = sealed.read_bytes()[-4096:]
    with sealed.open("ab") as file:
        file.write(bytes(4096) + footer)
    assert code_of(lambda: SealedImage.open(sealed)) == "FOOTER_BROKEN"


def test_a_symbolic_link_is_not_followed(sealed, tmp_path):
    (tmp_path / "link").symlink_to(sealed)
    assert code_of(lambda: SealedImage.open(tmp_path / "link")) == "IMAGE_UNREADABLE"


def test_the_header_digest_is_over_header_and_footer(sealed):
    image = SealedImage.open(sealed)
    data = sealed.read_bytes()
    header = data[image.footer.header_offset : image.footer.hash_offset]
    assert image.header_digest == hashlib.sha256(header + data[-4096:]).digest()
