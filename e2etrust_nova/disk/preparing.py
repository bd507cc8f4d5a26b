# SPDX-License-Identifier: Apache-2.0
"""Turns what lies at a server's disk path into an open, checked container.

The first time that is Nova's empty qcow2 overlay.  The container is built beside it and renamed
over it when it is whole and on the disk: at every moment one of the two lies at the path.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2etrust_core.durable import sync_directory
from e2etrust_core.sealed.sm4xts import Sm4Xts
from e2etrust_nova.disk import container, qcow2_header
from e2etrust_nova.disk.cipher_file import SECTOR, CipherFile
from e2etrust_nova.errors import ContainerError, DiskRefusedError, DiskServerError

SUFFIX = ".e2etrust-new"
# For what qemu-img's bound leaves out: persistent bitmaps and the like.
_SLACK = 16 << 20
_LOCK_PATIENCE = 3.0  # seconds; a killed keeper's workers need a moment to go


@dataclass(frozen=True, slots=True)
class Sealed:
    """What the container must belong to."""

    instance: str
    key_id: str
    digest: bytes
    base: Path


@dataclass(frozen=True, slots=True)
class OpenContainer:
    """An open container; `file` is its plaintext."""

    descriptor: int
    header: container.ContainerHeader
    file: CipherFile


def open_container(disk: Path, sealed: Sealed, image_key: bytes, view: Path) -> OpenContainer:
    """Open the container at `disk`, made first if Nova's empty overlay lies there.

    :param view: where the base's view will be; recorded in the qcow2 inside.
    :raises DiskServerError: see e2etrust_nova.disk.attach.
    """
    descriptor = _open(disk)
    try:
        if os.pread(descriptor, len(container.MAGIC), 0) != container.MAGIC:
            virtual_size = _check_overlay(descriptor, sealed.base)
            with _disk_full(disk):
                _build(disk, descriptor, sealed, image_key, view, virtual_size)
            os.close(descriptor)
            descriptor = -1
            descriptor = _open(disk)
        _lock(descriptor)
        return _check(descriptor, sealed, image_key, view)
    except BaseException:
        if descriptor >= 0:
            os.close(descriptor)
        raise


def _open(disk: Path) -> int:
    try:
        descriptor = os.open(disk, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise DiskRefusedError(f"the disk cannot be opened: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DiskRefusedError("the disk is not a regular file")
    return descriptor


def _lock(descriptor: int) -> None:
    """Keep a second keeper away for as long as this one and its workers live."""
    deadline = time.monotonic() + _LOCK_PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise DiskServerError(
                    "another disk server still holds the container",
                    code="DISK_BUSY",
                    remedy="End the process e2etrust-disk-server of this server, then start it.",
                ) from None
        time.sleep(0.05)


def _check_overlay(descriptor: int, base: Path) -> int:
    """Check that Nova's overlay is empty and stands on the sealed base; return its size."""
    pread = qcow2_header.of_file(descriptor)
    header = qcow2_header.read(pread)
    if header is None or header.backing is None:
        raise DiskRefusedError("the disk is neither our container nor an overlay on the image")
    if Path(header.backing) != base:
        raise DiskRefusedError("the disk's backing file is not the sealed base")
    if not qcow2_header.is_empty(pread, header):
        raise DiskRefusedError(
            "the disk was written to before it was encrypted",
            code="OVERLAY_NOT_EMPTY",
            remedy="The data is untouched. Rebuild the server, or copy its data out by hand.",
        )
    return header.virtual_size


def _build(
    disk: Path, like: int, sealed: Sealed, image_key: bytes, view: Path, virtual_size: int
) -> None:
    header = container.new_header(
        sealed.instance,
        sealed.key_id,
        sealed.digest,
        _qcow2_bound(virtual_size) + _SLACK,
        virtual_size,
        sealed.base,
    )
    new = disk.with_name(disk.name + SUFFIX)
    new.unlink(missing_ok=True)  # half an earlier attach
    descriptor = os.open(
        new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
    )
    try:
        _fill(descriptor, header, image_key, _empty_qcow2(view, virtual_size))
        owner = os.fstat(like)
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(owner.st_mode))
        os.fsync(descriptor)
        os.rename(new, disk)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    sync_directory(disk.parent)


def _fill(
    descriptor: int, header: container.ContainerHeader, image_key: bytes, qcow2: bytes
) -> None:
    keys = container.derive(image_key, header)
    os.ftruncate(descriptor, container.HEADER_SIZE + header.size)
    if os.pwrite(descriptor, container.encode(header, keys), 0) != container.HEADER_SIZE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    file = CipherFile(descriptor, container.HEADER_SIZE, header.size, Sm4Xts(keys.data))
    for at in range(0, len(qcow2), SECTOR):
        sector = qcow2[at : at + SECTOR]
        if sector.count(0) != len(sector):
            file.write(memoryview(bytearray(sector)), at)


def _check(descriptor: int, sealed: Sealed, image_key: bytes, view: Path) -> OpenContainer:
    raw = os.pread(descriptor, container.HEADER_SIZE, 0)
    header = container.decode(raw, os.fstat(descriptor).st_size)
    if header.instance != sealed.instance:
        raise ContainerError(
            "the container is another server's",
            code="CONTAINER_FOREIGN",
            remedy="Put this server's own disk file back.",
        )
    if header.image_digest != sealed.digest:
        raise ContainerError(
            "the sealed base is not the one the container was made on",
            code="BASE_CHANGED",
            remedy="Remove the base file from Nova's image cache, so that it is fetched anew.",
        )
    keys = container.derive(image_key, header)
    container.check_mac(raw, keys)
    file = CipherFile(descriptor, container.HEADER_SIZE, header.size, Sm4Xts(keys.data))
    _check_inside(file, view)
    return OpenContainer(descriptor, header, file)


def _check_inside(file: CipherFile, view: Path) -> None:
    """QEMU will open what the qcow2 inside names: it must be our view and nothing else."""

    def pread(size: int, offset: int) -> bytes:
        return bytes(file.read(bytearray(size + 2 * SECTOR), offset, size))

    inside = qcow2_header.read(pread)
    if inside is None or inside.external_data or inside.backing != str(view):
        raise ContainerError("what is in the container is not the disk that was put there")


def _empty_qcow2(view: Path, virtual_size: int) -> bytes:
    """Make an empty qcow2 over the base's view: the whole file, a few hundred KiB."""
    memory = os.memfd_create("qcow2", 0)
    name = f"/proc/self/fd/{memory}"
    try:
        options = ["-f", "qcow2", "-u", "-F", "raw", "-b", str(view)]
        _qemu_img("create", "-q", *options, name, str(virtual_size), keep=memory)
        return os.pread(memory, os.fstat(memory).st_size, 0)
    finally:
        os.close(memory)


def _qcow2_bound(virtual_size: int) -> int:
    """How long a qcow2 of that virtual size gets when every cluster is written, bytes."""
    said = _qemu_img("measure", "-O", "qcow2", "--size", str(virtual_size), "--output", "json")
    return int(json.loads(said)["fully-allocated"])


def _qemu_img(*arguments: str, keep: int | None = None) -> str:
    descriptors = () if keep is None else (keep,)
    try:
        done = subprocess.run(
            ["qemu-img", *arguments],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
            pass_fds=descriptors,
        )
    except FileNotFoundError as error:
        raise DiskServerError(
            "qemu-img is missing", code="QEMU_IMG_MISSING", remedy="Install qemu-utils."
        ) from error
    except subprocess.SubprocessError as error:
        text = (getattr(error, "stderr", None) or str(error)).strip()
        raise DiskServerError(f"qemu-img {arguments[0]} failed: {text}") from error
    return done.stdout


@contextmanager
def _disk_full(disk: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise DiskServerError(
            f"the container cannot be made beside {disk}: {error.strerror}",
            code="DISK_FULL" if full else "CONTAINER_NOT_MADE",
            remedy="The disk was left as it was. Make room in Nova's instances directory.",
        ) from error
