# SPDX-License-Identifier: Apache-2.0
"""The guest image, looked at with the file systems' own tools."""

import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(CHECKOUT / "tools"))

from e2eguest import SECRET_PATH, GuestImage, build  # noqa: E402

SECRET = b"a secret that only the tenant knows\n"
MIB = 1 << 20


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    # The kernel package is kept where tools/cloud keeps it: it is 70 MB to fetch.
    directory = tmp_path_factory.mktemp("guest")
    image = GuestImage(SECRET, size_mib=256)
    return build(image, directory / "guest.raw", CHECKOUT / ".cloud/cache")


@pytest.fixture(scope="module")
def partitions(disk):
    """Cut out as files: EFI system partition and root file system."""
    parts = {}
    data = disk.read_bytes()
    for name, start, end in (("esp", 1, 41), ("root", 41, 256)):
        parts[name] = disk.with_name(name)
        parts[name].write_bytes(data[start * MIB : end * MIB])
    return parts


def output(*argv):
    return subprocess.run(argv, check=True, capture_output=True).stdout


def test_the_partition_table_is_whole(disk):
    told = output("sgdisk", "--verify", "--print", disk).decode()
    assert "No problems found" in told
    assert "EF00" in told


def test_the_file_system_is_clean(partitions):
    output("e2fsck", "-f", "-n", partitions["root"])


def test_the_secret_lies_where_the_guest_reads_it(partitions):
    assert output("debugfs", "-R", f"cat {SECRET_PATH}", partitions["root"]) == SECRET


def test_the_boot_partition_holds_the_kernel_as_one_efi_program(partitions):
    program = output("mcopy", "-i", partitions["esp"], "::/EFI/BOOT/BOOTX64.EFI", "-")
    assert program[:2] == b"MZ"
    path = partitions["esp"].with_name("uki.efi")
    path.write_bytes(program)
    sections = output("objdump", "-h", path).decode()
    assert all(name in sections for name in (".linux", ".initrd", ".cmdline"))


def test_every_library_that_the_guests_programs_load_is_there(disk, partitions, tmp_path):
    output("debugfs", "-R", f"rdump / {tmp_path}", partitions["root"])
    for program in ("usr/bin/tpm2", "usr/sbin/qemu-ga"):
        needed = output("ldd", f"/{program}").decode()
        for library in (word for word in needed.split() if word.startswith("/")):
            assert (tmp_path / library.lstrip("/")).exists(), library


def test_an_image_that_is_too_small_is_refused(tmp_path):
    with pytest.raises(ValueError, match="192 MiB"):
        build(GuestImage(SECRET, size_mib=64), tmp_path / "small.raw", tmp_path / "cache")
    assert not list(tmp_path.iterdir())
