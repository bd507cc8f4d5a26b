# SPDX-License-Identifier: Apache-2.0
"""Files below a root, written so that nothing of anybody else is lost, and undone the same way.

What was written is remembered by its SHA-256: a file that is not as it was left is somebody
else's by now, and stays.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from e2etrust_core import wire
from e2etrust_core.durable import sync_directory
from e2etrust_core.errors import InputError
from e2etrust_nova.errors import HostSetupError

_MANIFEST = "var/lib/e2etrust/host-setup.json"
_LONGEST = 1024 * 1024
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class Manifest:
    """What this command made: files with the SHA-256 (hex) of what it wrote, and directories."""

    files: dict[str, str] = field(default_factory=dict)
    directories: list[str] = field(default_factory=list)


class Tree:
    """The file system below *root*; paths are absolute ones of the host.

    :param dry: nothing is written.
    """

    def __init__(self, root: Path, *, dry: bool = False) -> None:
        self._root = root
        self._dry = dry

    def path(self, name: str) -> Path:
        """Return where *name* is.

        :raises HostSetupError: something on the way is a link, or others can write there.
        """
        found = self._root
        for part in PurePosixPath(name).parts[1:]:
            self._check_directory(found)
            found = found / part
        if found.is_symlink():
            raise HostSetupError(
                f"{name} is a symbolic link", remedy="see who made it; remove it and run again"
            )
        return found

    def read(self, name: str) -> bytes | None:
        """Return what is in the file, None where there is none."""
        path = self.path(name)
        try:
            with path.open("rb") as file:
                return file.read(_LONGEST)
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise HostSetupError(f"{name} cannot be read: {exc.strerror}") from None

    def mode(self, name: str) -> int | None:
        """Return the permission bits, None where nothing is there."""
        try:
            return stat.S_IMODE(self.path(name).stat().st_mode)
        except FileNotFoundError:
            return None

    def ours(self, name: str) -> bool:
        """Whether the file is as this command left it."""
        found = self.read(name)
        return found is not None and self.manifest().files.get(name) == _digest(found)

    def write(self, name: str, content: bytes, mode: int) -> None:
        """Put the file there, whole or not at all, and remember it."""
        if self._dry:
            return
        path = self.path(name)
        self.make_directory(str(PurePosixPath(name).parent), 0o755)
        self._replace(path, content, mode)
        known = self.manifest()
        self._remember(Manifest({**known.files, name: _digest(content)}, known.directories))

    def make_directory(self, name: str, mode: int) -> bool:
        """Make the directory and those above it, where they are not there; say whether."""
        path = self.path(name)
        if path.is_dir():
            return False
        if self._dry:
            return True
        above = str(PurePosixPath(name).parent)
        if above != name:
            self.make_directory(above, 0o755)
        try:
            path.mkdir(mode=mode)
            path.chmod(mode)
        except OSError as exc:
            raise HostSetupError(f"{name} cannot be made: {exc.strerror}") from None
        if name != str(PurePosixPath("/", _MANIFEST).parent):
            known = self.manifest()
            self._remember(Manifest(known.files, [*known.directories, name]))
        return True

    def remove(self, name: str) -> None:
        """Remove a file of ours and forget it."""
        if self._dry:
            return
        self.path(name).unlink(missing_ok=True)
        known = self.manifest()
        files = {one: digest for one, digest in known.files.items() if one != name}
        self._remember(Manifest(files, known.directories))

    def remove_directories(self) -> list[str]:
        """Remove directories of ours that are empty; return them."""
        gone = []
        for name in sorted(self.manifest().directories, key=len, reverse=True):
            path = self.path(name)
            if path.is_dir() and not any(path.iterdir()):
                if not self._dry:
                    path.rmdir()
                gone.append(name)
        return gone

    def manifest(self) -> Manifest:
        found = self.read("/" + _MANIFEST)
        if found is None:
            return Manifest()
        try:
            return wire.from_json(Manifest, found)
        except InputError as exc:
            raise HostSetupError(
                f"/{_MANIFEST} is broken: {exc.reason}",
                remedy="restore it; without it nobody can tell which files are whose",
            ) from None

    def forget(self) -> None:
        """Remove the memory itself."""
        if not self._dry:
            self.path("/" + _MANIFEST).unlink(missing_ok=True)

    def _remember(self, manifest: Manifest) -> None:
        path = self.path("/" + _MANIFEST)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._replace(path, wire.to_json(manifest) + b"\n", 0o600)

    def _replace(self, path: Path, content: bytes, mode: int) -> None:
        try:
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                    os.fchmod(file.fileno(), mode)
                    os.fsync(file.fileno())
                os.replace(temporary, path)
                sync_directory(path.parent)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as exc:
            raise HostSetupError(f"{path} cannot be written: {exc.strerror}") from None

    def _check_directory(self, path: Path) -> None:
        """What others can write to, they can exchange under our hands."""
        try:
            found = path.lstat()
        except FileNotFoundError:
            return
        except OSError as exc:
            raise HostSetupError(f"{path} cannot be looked at: {exc.strerror}") from None
        if stat.S_ISLNK(found.st_mode):
            raise HostSetupError(
                f"{path} is a symbolic link", remedy="see who made it; name real directories"
            )
        if found.st_mode & _OTHERS_WRITE and path != self._root:
            raise HostSetupError(
                f"others than its owner can write to {path}", remedy=f"chmod go-w {path}"
            )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
