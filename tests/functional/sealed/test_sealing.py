# SPDX-License-Identifier: Apache-2.0
"""Real disks sealed and read back, with cryptsetup and a second SM4-XTS as witnesses."""

from __future__ import annotations

import json
import mmap
import os
import random
import subprocess
from pathlib import Path

import pytest

from e2etrust_core.sealed import inspection, sealing
from e2etrust_core.sealed.errors import SealedImageError
from e2etrust_core.sealed.image import SealedImage
from e2etrust_core.sealed.reader import SealedReader
from tests.functional.sealed import disks
from tests.unit.core.sealed import textbook_xts

KEY = bytes(range(32))
KEY_ID = "12345678-1234-1234-1234-123456789abc"
#: `full` encrypts each byte, so its disk is small; what `main` costs does not hang on the size.
SOURCES = {"main": "source", "full": "small"}


def silent(stage: str, done: int, total: int) -> None:
    pass


def seal(source: Path, destination: Path, layout: str, image_format: str = "raw"):
    request = sealing.SealRequest(source, destination, KEY_ID, layout, image_format)
    return sealing.seal(request, KEY, silent)


def holds(path: Path, text: bytes) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        return view.find(text) >= 0


def same_view(sealed: Path, source: Path) -> bool:
    with SealedReader(SealedImage.open(sealed), KEY) as reader, source.open("rb") as file:
        if reader.size != source.stat().st_size:
            return False
        buffer, at = bytearray(1 << 20), 0
        while count := reader.read_into(buffer, at):
            if file.read(count) != buffer[:count]:
                return False
            at += count
        return at == reader.size


def dump(header: Path) -> dict:
    return json.loads(disks.run("cryptsetup", "luksDump", "--dump-json-metadata", header))


def header_of(sealed: Path) -> Path:
    header = sealed.with_suffix(".header")
    header.write_bytes(inspection.inspect(sealed).header)
    return header


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return told(disks.bootable(tmp_path_factory.mktemp("source")))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return told(disks.bootable(tmp_path_factory.mktemp("small"), 128 * disks.MIB))


def told(disk: Path) -> Path:
    """The secrets are there to be found."""
    for text in (disks.SECRET_NAME.encode(), disks.FAT_NAME.encode()[:8], disks.SECRET_TEXT[:16]):
        assert holds(disk, text)
    return disk


@pytest.fixture(scope="module")
def main(source, tmp_path_factory):
    path = tmp_path_factory.mktemp("main") / "sealed.raw"
    seal(source, path, "main")
    return path


@pytest.fixture(scope="module")
def full(small, tmp_path_factory):
    path = tmp_path_factory.mktemp("full") / "sealed.raw"
    seal(small, path, "full")
    return path


def test_main_hides_names_boot_code_and_tables_and_keeps_the_file_sparse(main):
    for text in (disks.SECRET_NAME.encode(), b"ZQHIDDEN", b"GRUB CORE IMAGE", b"EFI PART"):
        assert not holds(main, text)
    assert holds(main, disks.CARVABLE[:48])
    assert main.stat().st_blocks * 512 < 64 << 20


def test_full_hides_every_byte(full):
    for text in (disks.SECRET_NAME.encode(), disks.SECRET_TEXT[:16], disks.CARVABLE[:24]):
        assert not holds(full, text)


@pytest.mark.parametrize("layout", ["main", "full"])
def test_the_readers_view_is_the_source_byte_for_byte(layout, request):
    assert same_view(*map(request.getfixturevalue, (layout, SOURCES[layout])))


@pytest.mark.parametrize("layout", ["main", "full"])
def test_a_second_xts_opens_what_cryptsetup_prints(layout, request):
    sealed, source = map(request.getfixturevalue, (layout, SOURCES[layout]))
    segments = dump(header_of(sealed))["segments"].values()
    random_places = random.Random(3)
    with sealed.open("rb") as file, source.open("rb") as plain:
        for segment in segments:
            offset, size = int(segment["offset"]), int(segment["size"])
            for _ in range(8 if layout == "main" else 64):
                at = random_places.randrange(size // 512) * 512
                file.seek(offset + at)
                plain.seek(offset + at)
                data, expected = file.read(512), plain.read(512)
                if segment["type"] == "crypt":
                    assert segment["encryption"] == "sm4-xts-plain64"
                    sector = int(segment["iv_tweak"]) + at // 512
                    data = textbook_xts.crypt(KEY, data, sector, segment["sector_size"])
                assert data == expected


@pytest.mark.parametrize("layout", ["main", "full"])
def test_qcow2_around_it_holds_the_same_sealed_image(layout, tmp_path, request):
    source, sealed = request.getfixturevalue(SOURCES[layout]), tmp_path / "sealed.qcow2"
    seal(source, sealed, layout, "qcow2")
    assert inspection.inspect(sealed).image.layout == layout
    raw = tmp_path / "raw"
    disks.run("qemu-img", "convert", "-O", "raw", sealed, raw)
    assert same_view(raw, source)


def test_a_file_whose_name_qemu_takes_for_a_protocol_is_looked_at(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("ubuntu:24.04.img").write_bytes(bytes(1 << 20))
    with pytest.raises(SealedImageError) as caught:
        inspection.inspect(Path("ubuntu:24.04.img"))
    assert caught.value.code == "NOT_SEALED"


def test_a_qcow2_source_gives_the_same_view(source, tmp_path):
    qcow2, sealed = tmp_path / "source.qcow2", tmp_path / "sealed"
    disks.run("qemu-img", "convert", "-c", "-O", "qcow2", source, qcow2)
    seal(qcow2, sealed, "main")
    assert same_view(sealed, source)


def test_a_raw_disk_that_was_grown_is_still_found(main, tmp_path, source):
    grown = tmp_path / "grown"
    disks.run("cp", "--sparse=always", main, grown)
    os.truncate(grown, grown.stat().st_size + (300 << 20))
    assert same_view(grown, source)


@pytest.mark.parametrize("kind", ["ext2", "ext3", "ext4"])
@pytest.mark.parametrize("block", ["1024", "4096"])
def test_a_whole_disk_of_ext_hides_its_names(kind, block, tmp_path):
    source = disks.ext(tmp_path / "s", disks.tree(tmp_path / "t"), 48 << 20, kind, "-b", block)
    seal(source, tmp_path / "sealed", "main")
    assert not holds(tmp_path / "sealed", disks.SECRET_NAME.encode())
    assert not holds(tmp_path / "sealed", b"with-a-long-name")
    assert same_view(tmp_path / "sealed", source)


@pytest.mark.parametrize(("size", "bits"), [(2, 12), (32, 16), (64, 32)])
def test_a_whole_disk_of_fat_hides_its_names(size, bits, tmp_path):
    options = ("-s", "1") if bits == 32 else ()
    source = disks.fat(tmp_path / "fat", size << 20, bits, *options)
    seal(source, tmp_path / "sealed", "main")
    for text in (b"ZQHIDDEN", "-long-".encode("utf-16-le"), b"MANY  "):
        assert holds(source, text)
        assert not holds(tmp_path / "sealed", text)
    assert same_view(tmp_path / "sealed", source)


def test_a_disk_of_an_odd_number_of_sectors_is_sealed(tmp_path):
    source = disks.ext(tmp_path / "s", disks.tree(tmp_path / "t"), 32 << 20)
    with source.open("ab") as file:
        file.write(b"tail".ljust(512 * 3, b"!"))
    for layout in ("main", "full"):
        sealed = tmp_path / layout
        seal(source, sealed, layout)
        assert same_view(sealed, source)
        assert not holds(sealed, b"tail!!!!")


def test_many_segments_are_read_by_cryptsetup(tmp_path):
    source = disks.ext(tmp_path / "s", disks.tree(tmp_path / "t"), 32 << 20)
    noise = random.Random(4).randbytes(4096)
    with source.open("r+b") as file:
        # Behind the file system nothing is known: every other block there becomes a segment.
        for number in range(2000):
            file.seek((32 << 20) + number * 8192)
            file.write(noise)
    seal(source, tmp_path / "sealed", "main")
    segments = dump(header_of(tmp_path / "sealed"))["segments"]
    assert len(segments) > 4000
    disks.run("cryptsetup", "luksDump", header_of(tmp_path / "sealed"))
    assert same_view(tmp_path / "sealed", source)


def bad_text(directory: Path) -> Path:
    path = directory / "source"
    path.write_bytes(b"this is no disk image. " * 512)
    return path


def bad_odd(directory: Path) -> Path:
    path = directory / "source"
    path.write_bytes(b"x" * 1001)
    return path


def bad_truncated_ext(directory: Path) -> Path:
    path = disks.ext(directory / "source", disks.tree(directory / "t"), 32 << 20)
    os.truncate(path, 20 << 20)
    return path


def bad_truncated_gpt(directory: Path) -> Path:
    root = disks.ext(directory / "root", disks.tree(directory / "t"), 32 << 20)
    path = disks.gpt(directory / "source", 64 << 20, [(1, "8300", root, 32)])
    os.truncate(path, 24 << 20)
    return path


def bad_truncated_qcow2(directory: Path) -> Path:
    root = disks.ext(directory / "root", disks.tree(directory / "t"), 32 << 20)
    path = directory / "source"
    disks.run("qemu-img", "convert", "-O", "qcow2", root, path)
    os.truncate(path, 1 << 20)
    return path


def bad_backing_chain(directory: Path) -> Path:
    base = disks.ext(directory / "root", disks.tree(directory / "t"), 32 << 20)
    path = directory / "source"
    disks.run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, path)
    return path


def bad_vmdk(directory: Path) -> Path:
    path = directory / "source"
    disks.run("qemu-img", "create", "-q", "-f", "vmdk", path, "8M")
    return path


def bad_sealed(directory: Path) -> Path:
    root = disks.ext(directory / "root", disks.tree(directory / "t"), 32 << 20)
    seal(root, directory / "source", "main")
    return directory / "source"


@pytest.mark.parametrize("layout", ["main", "full"])
@pytest.mark.parametrize(
    ("make", "code"),
    [
        (bad_text, "SOURCE_UNSUPPORTED"),
        (bad_odd, "SOURCE_TRUNCATED"),
        (bad_truncated_ext, "SOURCE_TRUNCATED"),
        (bad_truncated_gpt, "SOURCE_TRUNCATED"),
        (bad_truncated_qcow2, "SOURCE_TRUNCATED"),
        (bad_backing_chain, "SOURCE_UNSUPPORTED"),
        (bad_vmdk, "SOURCE_UNSUPPORTED"),
        (bad_sealed, "ALREADY_SEALED"),
    ],
)
def test_a_bad_source_is_refused_and_nothing_changes(make, code, layout, tmp_path):
    source = make(tmp_path)
    before, names = source.read_bytes(), sorted(os.listdir(tmp_path))
    with pytest.raises(SealedImageError) as caught:
        seal(source, tmp_path / "sealed", layout)
    assert caught.value.code == code
    assert caught.value.remedy
    assert source.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == names


def test_main_names_the_partition_it_does_not_know(tmp_path):
    strange = tmp_path / "strange"
    strange.write_bytes(random.Random(5).randbytes(4 << 20))
    source = disks.gpt(tmp_path / "source", 16 << 20, [(1, "8300", strange, 4)])
    with pytest.raises(SealedImageError, match="partition 1") as caught:
        seal(source, tmp_path / "sealed", "main")
    assert caught.value.code == "LAYOUT_UNSUPPORTED"
    assert "--layout full" in caught.value.remedy
    assert not (tmp_path / "sealed").exists()
    seal(source, tmp_path / "sealed", "full")


def test_an_existing_destination_is_kept(tmp_path):
    source = disks.ext(tmp_path / "s", disks.tree(tmp_path / "t"), 32 << 20)
    (tmp_path / "sealed").write_text("precious")
    with pytest.raises(SealedImageError) as caught:
        seal(source, tmp_path / "sealed", "main")
    assert caught.value.code == "DESTINATION_UNUSABLE"
    assert (tmp_path / "sealed").read_text() == "precious"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs takes root")
@pytest.mark.parametrize("image_format", ["raw", "qcow2"])
def test_a_full_disk_ends_in_one_error_and_leaves_nothing(image_format, tmp_path):
    source = disks.ext(tmp_path / "s", disks.tree(tmp_path / "t"), 32 << 20)
    small = tmp_path / "small"
    small.mkdir()
    disks.run("mount", "-t", "tmpfs", "-o", "size=20m", "none", small)
    try:
        with pytest.raises(SealedImageError) as caught:
            seal(source, small / "sealed", "full", image_format)
        assert caught.value.code == "NO_SPACE"
        assert os.listdir(small) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)
