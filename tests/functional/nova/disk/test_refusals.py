# SPDX-License-Identifier: Apache-2.0
"""What is refused, by code; and that nothing is lost or left behind by it."""

import ctypes
import hashlib
import os
import uuid

import pytest

from e2etrust_nova import disk as disk_server

from .conftest import Server, make_server, refused, run

# Most of it is decided before the layout matters; altered data is in test_altered.py.
pytestmark = pytest.mark.parametrize("image", ["main"], indirect=True)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_overlay_with_data_is_refused_and_kept(server):
    run("qemu-io", "-f", "qcow2", "-c", "write -P 7 128M 1", server.disk)
    before = digest(server.disk)
    assert refused(server.attach) == "OVERLAY_NOT_EMPTY"
    assert digest(server.disk) == before
    server.assert_nothing_left()


@pytest.mark.parametrize("key", [bytes(32), b"short", b""])
def test_wrong_key_is_refused_before_anything_is_made(server, key):
    before = digest(server.disk)
    assert refused(server.attach, key) == "KEY_WRONG"
    assert digest(server.disk) == before
    server.assert_nothing_left()


def test_base_that_is_not_the_one_measured_is_refused(server):
    """It could be swapped for another image of the same key between the hook's look and this."""
    before = digest(server.disk)
    assert refused(server.attach, None, bytes(32)) == "BASE_CHANGED"
    assert digest(server.disk) == before
    server.assert_nothing_left()


def test_container_of_another_server_is_refused(image, tmp_path):
    one, two = make_server(image, tmp_path), make_server(image, tmp_path)
    one.attach()
    one.detach()
    run("cp", one.disk, two.disk)
    assert refused(two.attach) == "CONTAINER_FOREIGN"
    two.assert_nothing_left()


def test_container_on_another_image_is_refused(image, tmp_path):
    from e2etrust_core.sealed import sealing

    server = make_server(image, tmp_path)
    server.attach()
    server.detach()
    other = tmp_path / "other"
    wanted = sealing.SealRequest(server.plain, other, str(uuid.uuid4()), "full", format="raw")
    sealing.seal(wanted, server.key, lambda *_: None)
    other.replace(server.base)
    before = digest(server.disk)
    assert refused(server.attach) == "BASE_CHANGED"
    assert digest(server.disk) == before
    server.assert_nothing_left()


def test_damaged_container_header_is_refused_and_kept(server):
    server.attach()
    server.detach()
    with open(server.disk, "r+b") as file:
        file.seek(200)
        file.write(b"\xff")
    assert refused(server.attach) == "CONTAINER_BROKEN"
    assert refused(disk_server.find_sealed_base, server.disk) == "CONTAINER_BROKEN"
    server.assert_nothing_left()


def test_altered_qcow2_header_in_the_container_is_refused(server):
    server.attach()
    server.detach()
    with open(server.disk, "r+b") as file:
        file.seek(4096)
        file.write(os.urandom(16))
    assert refused(server.attach) == "CONTAINER_BROKEN"
    server.assert_nothing_left()


def test_disk_that_is_a_link_is_not_followed(server, tmp_path):
    real = tmp_path / "real"
    server.disk.rename(real)
    server.disk.symlink_to(real)
    assert disk_server.find_sealed_base(server.disk) is None
    assert refused(server.attach) == "UNSUPPORTED_DISK"
    server.disk.unlink()
    real.rename(server.disk)
    server.assert_nothing_left()


def test_base_that_is_a_link_is_not_followed(server, tmp_path):
    real = tmp_path / "real"
    server.base.rename(real)
    server.base.symlink_to(real)
    assert disk_server.find_sealed_base(server.disk) is None
    refused(server.attach)
    server.assert_nothing_left()


def test_sealed_base_outside_novas_cache_is_refused(server, tmp_path):
    outside = tmp_path / "outside"
    server.base.rename(outside)
    run("qemu-img", "rebase", "-u", "-f", "qcow2", "-F", "raw", "-b", outside, server.disk)
    assert refused(disk_server.find_sealed_base, server.disk) == "BASE_OUTSIDE"


def test_missing_base_under_a_container_is_named(server):
    server.attach()
    server.detach()
    server.base.unlink()
    assert refused(disk_server.find_sealed_base, server.disk) == "BASE_MISSING"


def test_unsealed_disks_are_none_of_ours(server, tmp_path):
    server.base.write_bytes(os.urandom(1 << 20))
    assert disk_server.find_sealed_base(server.disk) is None
    assert disk_server.find_sealed_base(tmp_path / "absent") is None
    raw = tmp_path / "raw"
    raw.write_bytes(bytes(1 << 20))
    assert disk_server.find_sealed_base(raw) is None


def test_raw_disk_that_is_itself_sealed_is_named_unsupported(server):
    run("cp", server.base, server.disk)
    os.truncate(server.disk, 512 << 20)  # as Nova grows it to the flavor's size
    assert disk_server.find_sealed_base(server.disk).state == "unsupported-raw"


def test_qcow2_base_around_a_sealed_image_is_named_unsupported(server):
    wrapped = server.base.with_name("wrapped")
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", server.base, wrapped)
    wrapped.replace(server.base)
    assert disk_server.find_sealed_base(server.disk).state == "unsupported-base"


def test_half_a_prepare_is_swept_up_by_the_next_one(server):
    """What is left when power goes between the steps of an attach."""
    server.places.directory.mkdir(parents=True)
    server.places.base.touch()
    server.places.pid_file.write_text("1\n")  # a pid that is another process's now
    half = server.disk.with_name("disk.e2etrust-new")
    half.write_bytes(b"half a container")
    server.attach()
    server.io("read 0 4k")
    server.detach()
    server.assert_nothing_left()


@pytest.fixture
def small(image, tmp_path):
    """A server whose instances directory has 70 MiB of room."""
    directory = tmp_path / "small"
    directory.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=70m", "none", directory)
    made = make_server(image, directory)
    yield made
    made.detach()
    run("umount", directory)


def test_full_disk_stops_the_writer_and_spoils_nothing(small: Server):
    small.attach()
    small.io("write -P 0x11 0 4M", "flush")
    done = small.io("write -P 0x22 64M 100M", check=False)
    assert "No space left" in done.stdout
    small.io("read -P 0x11 0 4M")
    small.detach()
    small.attach()
    small.io("read -P 0x11 0 4M")
    assert run("qemu-img", "check", small.disk, check=False).returncode in (0, 3)  # leaks at most


def test_full_disk_at_the_first_attach_leaves_the_overlay(small: Server):
    filler = small.instances.parent / "filler"
    space = os.statvfs(filler.parent)
    filler.write_bytes(bytes(space.f_bfree * space.f_frsize))
    before = digest(small.disk)
    assert refused(small.attach) == "DISK_FULL"
    assert digest(small.disk) == before
    filler.unlink()
    small.attach()
    small.io("read 0 4k")


def test_container_in_use_elsewhere_is_refused(server):
    server.attach()
    server.detach()
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(server.disk, os.O_RDONLY)
    assert libc.flock(descriptor, 2) == 0
    try:
        assert refused(server.attach) == "DISK_BUSY"
    finally:
        os.close(descriptor)
    server.attach()
