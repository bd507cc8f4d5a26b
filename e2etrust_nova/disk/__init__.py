# SPDX-License-Identifier: Apache-2.0
"""The disk server: a decrypting view under the disk that Nova made, and nothing plain on disk.

``find_sealed_base`` tells what lies at a server's disk path, ``attach`` puts the views up before
QEMU opens the path, ``detach`` takes them down, also after half an ``attach``.
Importing this package is cheap: the hook does so at every start of every server.
"""

from __future__ import annotations

from pathlib import Path

from e2etrust_nova.disk.model import (
    LOG_DIR,
    RUN_DIR,
    Attached,
    AttachRequest,
    DiskState,
    SealedBase,
)

__all__ = [
    "LOG_DIR",
    "RUN_DIR",
    "AttachRequest",
    "Attached",
    "DiskState",
    "SealedBase",
    "attach",
    "detach",
    "find_sealed_base",
    "follow",
    "list_attached",
]


def find_sealed_base(disk: Path) -> SealedBase | None:
    """Tell whether a server's disk stands on a sealed image; None if it does not.

    :param disk: Nova's path, ``<instances>/<uuid>/disk``.
    :raises DiskRefusedError: the path, or the base it names, is not a regular file at the place
        where Nova keeps such files; or our container is damaged.
    :raises SealedImageError: the base bears a seal that is broken.
    """
    from e2etrust_nova.disk.finder import find

    return find(disk)


def attach(request: AttachRequest, image_key: bytes, *, run_dir: Path = RUN_DIR) -> None:
    """Put both views up; return when both answer.  QEMU may then open ``request.disk``.

    The first time, Nova's empty overlay is replaced by an encrypted container.  Views that an
    earlier start left behind are taken down first.

    :param image_key: the sealed image's key, 32 bytes (SM4 data key || tweak key).
    :raises DiskServerError: by code: OVERLAY_NOT_EMPTY, KEY_WRONG, BASE_CHANGED, DISK_BUSY,
        CONTAINER_BROKEN, CONTAINER_FOREIGN, DISK_FULL, DISK_SERVER_TIMEOUT, ...  Everything that
        was put up is taken down again and no data is lost.
    """
    from e2etrust_nova.disk.control import attach as run

    run(request, image_key, run_dir)


def follow(instance: str, qemu: int, *, run_dir: Path = RUN_DIR) -> None:
    """Have the views go when process *qemu* ends, also if nobody calls :func:`detach` then.

    :raises DiskServerError: nothing is attached for this server (code DISK_SERVER_GONE).
    """
    from e2etrust_nova.disk.control import follow as run

    run(instance, qemu, run_dir)


def detach(instance: str, *, run_dir: Path = RUN_DIR) -> None:
    """Take a server's views down.  Nothing to take down is not an error.

    :raises DiskServerError: a view cannot be unmounted (code DETACH_FAILED).
    """
    from e2etrust_nova.disk.control import detach as run

    run(instance, run_dir)


def list_attached(*, run_dir: Path = RUN_DIR) -> list[Attached]:
    """Return the servers that have a view up, whether or not its keeper still lives."""
    from e2etrust_nova.disk.control import list_attached as run

    return run(run_dir)
