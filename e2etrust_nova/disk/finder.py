# SPDX-License-Identifier: Apache-2.0
"""Tells what lies at a server's disk path, without believing any path that is written in it."""

from __future__ import annotations

import errno
import os
import re
import stat
import subprocess
import tempfile
from pathlib import Path

from e2etrust_core.sealed import footer
from e2etrust_core.sealed.errors import NotSealedError
from e2etrust_core.sealed.image import SealedImage
from e2etrust_nova.disk import container, mounts, qcow2_header
from e2etrust_nova.disk.model import DiskState, SealedBase
from e2etrust_nova.errors import ContainerError, DiskRefusedError

BASE_DIR = "_base"
_BASE_NAME = re.compile(r"[0-9A-Za-z_][0-9A-Za-z_.-]{0,254}")


def find(disk: Path) -> SealedBase | None:
    """See e2etrust_nova.disk.find_sealed_base."""
    disk = Path(os.path.normpath(disk))
    descriptor = _open_regular(disk)
    if descriptor is None:
        return None
    try:
        if os.pread(descriptor, len(container.MAGIC), 0) == container.MAGIC:
            return _under_container(disk, descriptor)
        overlay = qcow2_header.read(qcow2_header.of_file(descriptor))
    finally:
        os.close(descriptor)
    if overlay is None:
        return _sealed(disk, disk, "unsupported-raw")
    if overlay.backing is None:
        return None
    return _under_overlay(disk, Path(os.path.normpath(overlay.backing)))


def base_directory(disk: Path) -> Path:
    """Where Nova keeps its images: beside the directory of the disk's server."""
    return disk.parent.parent / BASE_DIR


def _under_container(disk: Path, descriptor: int) -> SealedBase:
    raw = os.pread(descriptor, container.HEADER_SIZE, 0)
    header = container.decode(raw, os.fstat(descriptor).st_size)
    name = header.base.name
    if not _BASE_NAME.fullmatch(name):
        raise ContainerError("the container names no base")
    # On another host the images may lie elsewhere, under the same name.
    base = base_directory(disk) / name
    found = _sealed(disk, base, "container")
    if found is None:
        raise DiskRefusedError(
            f"the sealed base {name} is not in Nova's image cache",
            code="BASE_MISSING",
            remedy="Let Nova fetch the image again (cold migration does), or put the file back.",
        )
    return found


def _under_overlay(disk: Path, base: Path) -> SealedBase | None:
    at_home = base.parent == base_directory(disk) and _BASE_NAME.fullmatch(base.name)
    inside = _is_qcow2(base)
    found = _inside_qcow2(disk, base) if inside else _sealed(disk, base, "overlay")
    if found is not None and not at_home:
        raise DiskRefusedError(
            "the disk stands on a sealed file outside Nova's image cache", code="BASE_OUTSIDE"
        )
    return found


def _sealed(disk: Path, base: Path, state: DiskState) -> SealedBase | None:
    """Look for the seal; None if there is no such regular file, or no seal."""
    descriptor = _open_regular(base)
    if descriptor is None:
        return None
    try:
        return SealedBase(disk, base, SealedImage.from_fd(descriptor, base), state)
    except NotSealedError:
        return None
    finally:
        os.close(descriptor)


def _is_qcow2(base: Path) -> bool:
    descriptor = _open_regular(base)
    if descriptor is None:
        return False
    try:
        return os.pread(descriptor, len(qcow2_header.MAGIC), 0) == qcow2_header.MAGIC
    finally:
        os.close(descriptor)


def _inside_qcow2(disk: Path, base: Path) -> SealedBase | None:
    """Tell whether the base is a qcow2 around a sealed image: with force_raw_images=false."""
    descriptor = _open_regular(base)
    if descriptor is None:
        return None
    try:
        header = qcow2_header.read(qcow2_header.of_file(descriptor))
        if header is None or header.backing is not None or header.external_data:
            return None
        last = header.virtual_size // footer.ALIGNMENT - 1
        if last < 0:
            return None
        data = _qcow2_block(descriptor, last)
    finally:
        os.close(descriptor)
    if not data.startswith(footer.MAGIC):
        return None
    return SealedBase(disk, base, None, "unsupported-base")


def _qcow2_block(descriptor: int, number: int) -> bytes:
    """Read one block of 4096 bytes of the disk inside a qcow2; empty if that cannot be done."""
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory) / "block"
        command = ["qemu-img", "dd", "-U", "-f", "qcow2", "-O", "raw", f"bs={footer.ALIGNMENT}"]
        command += [f"skip={number}", f"count={number + 1}", f"if=/proc/self/fd/{descriptor}"]
        command += [f"of={target}"]
        try:
            subprocess.run(
                command, check=True, capture_output=True, timeout=30, pass_fds=(descriptor,)
            )
            return target.read_bytes()
        except (OSError, subprocess.SubprocessError):
            return b""


def _open_regular(path: Path) -> int | None:
    """Open read-only; None for what is no regular file: absent, a link, a device, ..."""
    try:
        descriptor = mounts.open_beneath(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
            return None
        raise DiskRefusedError(f"{path} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    return descriptor
