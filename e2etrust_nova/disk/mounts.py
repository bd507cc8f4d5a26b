# SPDX-License-Identifier: Apache-2.0
"""Mounting one file by FUSE, seeing what is mounted, and unmounting: thin over mount(2)."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

FSTYPE = "fuse.e2etrust"
_SOURCE = "e2etrust:"
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 2, 4, 8
_MNT_DETACH, _UMOUNT_NOFOLLOW = 2, 8
_SYS_OPEN_TREE = 428
_OPEN_TREE_CLONE, _O_CLOEXEC, _AT_FDCWD = 1, os.O_CLOEXEC, -100

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = [ctypes.c_char_p] * 3 + [ctypes.c_ulong, ctypes.c_char_p]
_libc.umount2.argtypes = [ctypes.c_char_p, ctypes.c_int]


@dataclass(frozen=True, slots=True)
class View:
    """One of our mounts: whose it is and where."""

    instance: str
    path: Path


def mount_file(device: int, target: int, instance: str, max_read: int) -> None:
    """Mount the FUSE connection `device` over the regular file that `target` is open on.

    The descriptor and not a path says where, so that no link can come in between.  Who may open
    it is checked by the kernel against the owner and mode the file shows (default_permissions).

    :raises OSError: as mount(2).
    """
    options = (
        f"fd={device},rootmode=100600,user_id=0,group_id=0,"
        f"allow_other,default_permissions,max_read={max_read}"
    )
    result = _libc.mount(
        (_SOURCE + instance).encode(),
        f"/proc/self/fd/{target}".encode(),
        FSTYPE.encode(),
        _MS_NOSUID | _MS_NODEV | _MS_NOEXEC,
        options.encode(),
    )
    _check(result, "mount")


def views(instance: str | None = None) -> list[View]:
    """Return our mounts, in the order they were made; of one server, or of all."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        found = [view for line in table if (view := parse(line)) is not None]
    return [view for view in found if instance is None or view.instance == instance]


def parse(line: str) -> View | None:
    """Read one line of proc(5) mountinfo; None if the mount is not ours.

    fusermount lets every account choose type and source, and says itself who asked (user_id).
    """
    left, _, right = line.rstrip("\n").partition(" - ")
    fields, kind = left.split(" "), right.split(" ")
    if len(fields) < 6 or len(kind) != 3 or kind[0] != FSTYPE or not kind[1].startswith(_SOURCE):
        return None
    if [one for one in kind[2].split(",") if one.startswith("user_id=")] != ["user_id=0"]:
        return None
    path = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4])
    return View(kind[1].removeprefix(_SOURCE), Path(path))


def unmount(path: Path, patience: float) -> bool:
    """Unmount; after `patience` seconds of EBUSY, lazily.

    :returns: False if somebody still holds the file open and the mount only left the tree.
    :raises OSError: as umount2(2), but for a mount that is gone already.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            _umount(path, _UMOUNT_NOFOLLOW)
            return True
        except OSError as error:
            if error.errno == errno.EINVAL or error.errno == errno.ENOENT:
                return True
            if error.errno != errno.EBUSY:
                raise
        if time.monotonic() > deadline:
            _umount(path, _UMOUNT_NOFOLLOW | _MNT_DETACH)
            return False
        time.sleep(0.05)


def open_beneath(path: Path) -> int:
    """Open, read-only, the file at `path` itself even where one of our views is mounted over it.

    :returns: a descriptor.
    :raises OSError: as open_tree(2) and open(2); a symbolic link is ELOOP.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    if not any(view.path == path for view in views()):
        return os.open(path, flags)
    parent = os.fsencode(path.parent)
    tree = _libc.syscall(_SYS_OPEN_TREE, _AT_FDCWD, parent, _OPEN_TREE_CLONE | _O_CLOEXEC)
    _check(0 if tree >= 0 else -1, "open_tree")
    try:
        return os.open(path.name, flags, dir_fd=tree)
    finally:
        os.close(tree)


def _umount(path: Path, flags: int) -> None:
    _check(_libc.umount2(os.fsencode(path), flags), "umount")


def _check(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
