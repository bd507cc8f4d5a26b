# SPDX-License-Identifier: Apache-2.0
"""Files that agent and libvirt hook keep for themselves, in directories that are theirs alone."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from pathlib import Path

from e2etrust_agent.errors import ForeignFileError, StateError
from e2etrust_core.durable import sync_directory
from e2etrust_core.old_files import remove_if_older

#: What :func:`write_private` writes to first.
_HALF_WRITTEN = re.compile(r"\..+\.[0-9a-f]{8}")
#: After so many seconds whoever wrote it is gone.
_STALE = 600


def private_directory(path: Path) -> None:
    """Make *path* a directory that only this account can look into.

    Files that a crash left half written there are removed.

    :raises StateError: it is a link, or belongs to somebody else.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = os.lstat(path)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise StateError(f"{path} is not a directory of ours")
        if stat.S_IMODE(found.st_mode) & 0o077:
            path.chmod(0o700)
        _remove_half_written(path)
    except OSError as exc:
        raise StateError(f"{path}: {exc.strerror}") from exc


def _remove_half_written(directory: Path) -> None:
    for path in directory.iterdir():
        if _HALF_WRITTEN.fullmatch(path.name):
            remove_if_older(path, _STALE)


def write_private(path: Path, data: bytes) -> None:
    """Replace *path* by *data* (mode 0600), durably and in one step.

    :raises StateError: it cannot be written; what was there stays.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(temporary, flags, 0o600), "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(temporary, path)
        sync_directory(path.parent)
    except OSError as exc:
        temporary.unlink(missing_ok=True)
        raise StateError(f"{path} cannot be written: {exc.strerror}") from exc


def read_private(path: Path, limit: int) -> bytes:
    """Return the bytes of a regular file of ours, at most *limit*.

    :raises FileNotFoundError: there is none.
    :raises ForeignFileError: a link, somebody else's file, or too long.
    :raises StateError: it cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as exc:
        if exc.errno == errno.ELOOP:
            raise ForeignFileError(f"{path} is a symbolic link") from None
        raise StateError(f"{path} cannot be read: {exc.strerror}") from exc
    with open(descriptor, "rb") as stream:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise ForeignFileError(f"{path} is not a file of ours")
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise ForeignFileError(f"{path} is larger than {limit} bytes")
    return data
