# SPDX-License-Identifier: Apache-2.0
"""The typed values that cross the disk server's border, and where its files live."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from e2etrust_nova.errors import DiskServerError

if TYPE_CHECKING:
    from e2etrust_core.sealed.image import SealedImage

RUN_DIR = Path("/run/e2etrust/disks")
LOG_DIR = Path("/var/log/e2etrust")

DiskState = Literal["overlay", "container", "unsupported-raw", "unsupported-base"]

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class SealedBase:
    """A server's disk that stands on a sealed image.

    ``disk``: the path Nova gave to libvirt; ``base_path``: the raw file that bears the seal.
    ``state``: ``overlay`` (Nova's qcow2 over the sealed base, never attached yet),
    ``container`` (our encrypted container), ``unsupported-raw`` (the disk itself is the sealed
    file, as with images_type=raw) or ``unsupported-base`` (the base is a qcow2 around one).
    ``image`` is None for ``unsupported-base``, whose inside is not read.
    """

    disk: Path
    base_path: Path
    image: SealedImage | None
    state: DiskState


@dataclass(frozen=True, slots=True)
class AttachRequest:
    """What to put up: the server's uuid, Nova's path of its disk, and the sealed base under it.

    ``header``: digest of the base's header and footer as it was measured; another base is refused.
    ``log_path`` None means ``/var/log/e2etrust/disk-<uuid>.log``.
    """

    instance: str
    disk: Path
    base: Path
    header: bytes
    log_path: Path | None = None


@dataclass(frozen=True, slots=True)
class Attached:
    """A server whose disk is served: its mounts, and the keeper's process id where it lives."""

    instance: str
    mounts: tuple[Path, ...]
    keeper: int | None


@dataclass(frozen=True, slots=True)
class Places:
    """The paths of one server's views below the run directory."""

    run_dir: Path
    instance: str

    def __post_init__(self) -> None:
        if not _UUID.fullmatch(self.instance):
            raise DiskServerError("the server's id is not a UUID", code="INPUT_MALFORMED")

    @property
    def directory(self) -> Path:
        return self.run_dir / self.instance

    @property
    def base(self) -> Path:
        """Where the decrypted view of the sealed base is mounted; recorded in the qcow2."""
        return self.directory / "base"

    @property
    def pid_file(self) -> Path:
        return self.directory / "keeper.pid"

    @property
    def qemu_pid_file(self) -> Path:
        """The process that the views are for, once it runs."""
        return self.directory / "qemu.pid"

    @property
    def lock(self) -> Path:
        return self.run_dir / f".{self.instance}.lock"
