# SPDX-License-Identifier: Apache-2.0
"""The disk: GPT, EFI system partition, ext4 root; cached by what goes in."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path

from e2eguest import esp, kernel, rootfs, uki
from e2eguest.disk_tools import run

EVIDENCE_SCRIPT = Path(__file__).resolve().parents[2] / "guest/e2etrust-guest-evidence"
SECRET_DIRECTORY = "srv/secret"
SECRET_NAME = "tenant-secret.txt"
SECRET_PATH = f"/{SECRET_DIRECTORY}/{SECRET_NAME}"
# Glance image properties with which Nova boots it.
PROPERTIES = {
    "hw_firmware_type": "uefi",
    "hw_machine_type": "q35",
    "hw_qemu_guest_agent": "yes",
    "os_shutdown_timeout": "5",
}

_MIB = 1 << 20
_SECTOR = 512
_ESP_START = 1 * _MIB
_ESP_SIZE = 40 * _MIB
_ROOT_START = _ESP_START + _ESP_SIZE


@dataclass(frozen=True)
class GuestImage:
    """What differs from image to image: the tenant's secret (one line of text), size, file name."""

    secret: bytes
    size_mib: int = 1024
    secret_name: str = SECRET_NAME


def build(image: GuestImage, output: Path, cache: Path) -> Path:
    """Write the raw disk of ``image`` to ``output``; kernel and root directory come from ``cache``.

    :raises subprocess.CalledProcessError: when one of the file system tools fails.
    :raises ValueError: when the image is too small for what goes in.
    """
    if image.size_mib < 192:
        raise ValueError("the guest's image needs at least 192 MiB")
    parts = _parts(cache)
    with tempfile.TemporaryDirectory(dir=output.parent) as name:
        root = Path(name, "root")
        shutil.copytree(parts / "root", root, symlinks=True)
        secret = root / SECRET_DIRECTORY / image.secret_name
        secret.parent.mkdir()
        secret.write_bytes(image.secret)
        unfinished = Path(name, "disk")
        _partition(unfinished, image)
        esp.write(unfinished, parts / "uki.efi", _ESP_START, _ESP_SIZE)
        _ext4(unfinished, root, image)
        unfinished.rename(output)
    return output


def prepare(cache: Path) -> None:
    """Fetch and make what all images share; after this :func:`build` needs no network.

    :raises subprocess.CalledProcessError: the kernel's package cannot be had.
    """
    _parts(cache)


def _parts(cache: Path) -> Path:
    """The root directory and the kernel image, made once for the same inputs."""
    cache.mkdir(parents=True, exist_ok=True)
    linux = kernel.fetch(cache)
    digest = hashlib.sha256(linux.release.encode())
    sources = sorted(Path(__file__).parent.glob("*.py"))
    for path in [*sources, EVIDENCE_SCRIPT, uki.STUB, *rootfs.inputs()]:
        digest.update(path.read_bytes())
    parts = cache / f"guest-{digest.hexdigest()[:16]}"
    if not parts.is_dir():
        for old in cache.glob("guest-*"):
            shutil.rmtree(old)
        unfinished = cache / "unfinished-guest"
        shutil.rmtree(unfinished, ignore_errors=True)
        rootfs.build(unfinished / "root", EVIDENCE_SCRIPT)
        (unfinished / "uki.efi").write_bytes(uki.build(linux))
        unfinished.rename(parts)
    return parts


def _partition(disk: Path, image: GuestImage) -> None:
    with disk.open("wb") as file:
        file.truncate(image.size_mib * _MIB)
    boot = f"{_ESP_START // _SECTOR}:{_ROOT_START // _SECTOR - 1}"
    identity = uuid.uuid5(uuid.NAMESPACE_URL, "e2etrust-guest")
    run(
        *("sgdisk", "--clear", f"--disk-guid={identity}"),
        *(f"--new=1:{boot}", "--typecode=1:ef00", "--change-name=1:esp"),
        *(f"--new=2:{_ROOT_START // _SECTOR}:0", "--typecode=2:8304", "--change-name=2:root"),
        str(disk),
    )


def _ext4(disk: Path, root: Path, image: GuestImage) -> None:
    # 33 sectors at the end are the GPT's copy; whole 4 KiB blocks before them are the partition's.
    blocks = ((image.size_mib * _MIB) - _ROOT_START - 34 * _SECTOR) // 4096
    run(
        *("mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-L", "root", "-m", "0"),
        # All metadata is written now, so that the first boot has nothing to initialise.
        *("-E", f"offset={_ROOT_START},lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0"),
        *("-d", str(root), str(disk), str(blocks)),
    )
