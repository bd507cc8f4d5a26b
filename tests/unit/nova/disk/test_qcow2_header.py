# SPDX-License-Identifier: Apache-2.0
"""Nova's overlay as qemu-img itself makes it."""

import os
import subprocess
from pathlib import Path

import pytest

from e2etrust_nova.disk import qcow2_header
from e2etrust_nova.errors import DiskRefusedError


def qemu_img(*arguments):
    subprocess.run(["qemu-img", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture
def overlay(tmp_path):
    base = tmp_path / "base"
    base.write_bytes(os.urandom(1 << 20))
    path = tmp_path / "disk"
    qemu_img("create", "-f", "qcow2", "-b", base, "-F", "raw", path, "64M")
    return path


def pread(path):
    data = Path(path).read_bytes()
    return lambda size, offset: data[offset : offset + size]


def test_fresh_overlay_is_read_and_empty(overlay, tmp_path):
    header = qcow2_header.read(pread(overlay))
    assert header.backing == str(tmp_path / "base")
    assert header.virtual_size == 64 << 20
    assert qcow2_header.is_empty(pread(overlay), header)


def test_one_written_byte_is_seen(overlay):
    subprocess.run(["qemu-io", "-c", "write 63M 1", overlay], check=True, capture_output=True)
    assert not qcow2_header.is_empty(pread(overlay), qcow2_header.read(pread(overlay)))


def test_snapshot_is_seen(overlay):
    qemu_img("snapshot", "-c", "one", overlay)
    assert not qcow2_header.is_empty(pread(overlay), qcow2_header.read(pread(overlay)))


def test_external_data_file_is_seen(tmp_path):
    path = tmp_path / "disk"
    qemu_img("create", "-f", "qcow2", "-o", f"data_file={tmp_path / 'data'}", path, "1M")
    header = qcow2_header.read(pread(path))
    assert header.external_data
    assert not qcow2_header.is_empty(pread(path), header)


def test_other_files_are_not_qcow2(tmp_path):
    path = tmp_path / "raw"
    path.write_bytes(bytes(4096))
    assert qcow2_header.read(pread(path)) is None


@pytest.mark.parametrize(
    ("at", "value"), [(4, b"\0\0\0\x09"), (16, b"\xff\xff\xff\xff"), (36, b"\xff\xff\xff\xff")]
)
def test_values_out_of_bounds_are_refused(overlay, at, value):
    raw = bytearray(overlay.read_bytes())
    raw[at : at + 4] = value
    overlay.write_bytes(raw)
    with pytest.raises(DiskRefusedError, match="out of bounds"):
        qcow2_header.read(pread(overlay))


def test_header_cut_short_is_refused(overlay):
    with pytest.raises(DiskRefusedError, match="cut short"):
        qcow2_header.read(lambda _size, _offset: overlay.read_bytes()[:20])
