# SPDX-License-Identifier: Apache-2.0
"""`e2etrust-disk-server`: the process that serves one server's disk; started by attach().

Reads its order and the image key from stdin (never from arguments or environment), leaves the
hook's process tree, puts both views up, answers on stdout, and stays until they are unmounted.
"""

from __future__ import annotations

import hmac
import logging
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from e2etrust_core.errors import E2ETrustError
from e2etrust_nova.disk import hardening, old_logs, order
from e2etrust_nova.disk.model import LOG_DIR, Places
from e2etrust_nova.errors import DiskServerError

if TYPE_CHECKING:
    from e2etrust_nova.disk.keeper import Keeper

LOG = logging.getLogger("e2etrust_nova.disk")
USAGE = """\
usage: e2etrust-disk-server INSTANCE

Serves the decrypted views of one server's disk. The libvirt hook starts it and hands it its
order and the image key on stdin; it is not meant to be started by hand.
"""


def main() -> int:
    """Run the process."""
    if len(sys.argv) != 2 or sys.argv[1].startswith("-") or sys.stdin.isatty():
        sys.stderr.write(USAGE)
        return 2
    hardening.seal_process()
    hardening.spare_from_oom()
    hardening.lock_memory()
    work = order.decode(sys.stdin.buffer.readline())
    key = sys.stdin.buffer.read()
    if os.fork():  # the hook waits for this one; the other one is init's child from now on
        os._exit(0)
    hardening.lock_memory()
    os.chdir("/")
    answer = os.dup(1)
    _leave_standard_files()
    try:
        _start_log(work)
        serving = _prepare(work, key)
    except BaseException as error:
        os.write(answer, order.encode_answer(_told(error)))
        return 1
    return 0 if serving.run(answer) else 1


def _leave_standard_files() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)


def _start_log(work: order.Order) -> None:
    path = work.request.log_path or LOG_DIR / f"disk-{work.request.instance}.log"
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    old_logs.remove(path.parent)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    stream = os.fdopen(os.open(path, flags, 0o640), "a", encoding="utf-8")
    logging.basicConfig(
        stream=stream,
        level=logging.INFO,
        format="%(asctime)s %(process)d %(levelname)s %(message)s",
    )


def _told(error: BaseException) -> DiskServerError:
    """Turn any failure into the one that is told to the hook, and log it."""
    if isinstance(error, E2ETrustError):
        LOG.error("refused: %s", error)
        return DiskServerError(error.reason, code=error.code, remedy=error.remedy)
    LOG.error("failed", exc_info=error)
    return DiskServerError(f"{type(error).__name__}: {error}")


@dataclass
class _Serving:
    """What is up, and the keeper that holds it."""

    places: Places
    keeper: Keeper

    def run(self, answer: int) -> bool:
        """Start the workers, say so, and stay."""
        self.keeper.start()
        os.write(answer, order.encode_answer(None))
        os.close(answer)
        orderly = self.keeper.run()
        self.places.pid_file.unlink(missing_ok=True)
        LOG.info("ended")
        return orderly


def _prepare(work: order.Order, key: bytes) -> _Serving:
    """Open base and container, mount both, and shake hands with the kernel."""
    if len(key) != order.KEY_SIZE:
        raise DiskServerError("the image key does not have 32 bytes", code="KEY_WRONG")
    from e2etrust_core.sealed.image import SealedImage
    from e2etrust_core.sealed.reader import SealedReader
    from e2etrust_nova.disk.following import Following
    from e2etrust_nova.disk.keeper import Connection, Keeper, shake_hands
    from e2etrust_nova.disk.preparing import Sealed, open_container
    from e2etrust_nova.disk.views import BaseView, ContainerView

    request, places = work.request, Places(work.run_dir, work.request.instance)
    image = SealedImage.open(request.base)
    if not hmac.compare_digest(image.header_digest, request.header):
        raise DiskServerError(
            "the sealed base is not the one that was measured",
            code="BASE_CHANGED",
            remedy="Start the server again; if it is refused again, tell the operator.",
        )
    reader = SealedReader(image, key)
    reader.read(512, 0)  # an altered first block is told by name, not as a view that is dead
    sealed = Sealed(request.instance, image.key_id, image.header_digest, request.base)
    opened = open_container(request.disk, sealed, key, places.base)
    owner = os.fstat(opened.descriptor)
    base = BaseView(reader, image.disk_size, (owner.st_uid, owner.st_gid))
    disk = ContainerView(opened.file, opened.descriptor)
    point = os.open(places.base, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o400)
    connections = [
        Connection("base", _mount(point, request.instance), base),
        Connection("disk", _mount(opened.descriptor, request.instance), disk),
    ]
    os.close(point)
    for connection in connections:
        shake_hands(connection)
    places.pid_file.write_text(f"{os.getpid()}\n")
    LOG.info("serving %s", request.disk)
    return _Serving(places, Keeper(connections, Following(places)))


def _mount(target: int, instance: str) -> int:
    from e2etrust_nova.disk import fuse_protocol, mounts

    try:
        device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise DiskServerError(
            f"/dev/fuse cannot be opened: {error.strerror}",
            code="FUSE_MISSING",
            remedy="Load the kernel module fuse.",
        ) from error
    mounts.mount_file(device, target, instance, fuse_protocol.MAX_WRITE)
    return device


if __name__ == "__main__":
    sys.exit(main())
