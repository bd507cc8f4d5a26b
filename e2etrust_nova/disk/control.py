# SPDX-License-Identifier: Apache-2.0
"""attach, detach and list_attached, as the hook runs them."""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from e2etrust_nova.disk import mounts, order
from e2etrust_nova.disk.following import ask_to_follow
from e2etrust_nova.disk.model import Attached, AttachRequest, Places
from e2etrust_nova.errors import DiskServerError

_MODULE = "e2etrust_nova.disk.main"
_ATTACH_PATIENCE = 60.0  # seconds
_UNMOUNT_PATIENCE = 3.0
_END_PATIENCE = 5.0
# No more than it takes: nothing of libvirt's or the operator's environment goes in.
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
# A library's thread pool would be lost over the keeper's fork.
_ENVIRONMENT["OPENBLAS_NUM_THREADS"] = "1"


def attach(request: AttachRequest, image_key: bytes, run_dir: Path) -> None:
    """See e2etrust_nova.disk.attach."""
    places = Places(run_dir, request.instance)
    with _locked(places):
        _take_down(places)
        try:
            _make_directory(places)
            _spawn(order.Order(request, run_dir), image_key)
            _look(places.base)
            _look(request.disk)
        except BaseException:
            with suppress(DiskServerError):
                _take_down(places)
            raise


def detach(instance: str, run_dir: Path) -> None:
    """See e2etrust_nova.disk.detach."""
    places = Places(run_dir, instance)
    if not run_dir.exists() and not mounts.views(instance):
        return
    with _locked(places, last=True):
        _take_down(places)


def follow(instance: str, qemu: int, run_dir: Path) -> None:
    """See e2etrust_nova.disk.follow."""
    places = Places(run_dir, instance)
    ask_to_follow(places, _keeper_pid(places), qemu)


def list_attached(run_dir: Path) -> list[Attached]:
    """See e2etrust_nova.disk.list_attached."""
    by_instance: dict[str, list[Path]] = {}
    for view in mounts.views():
        by_instance.setdefault(view.instance, []).append(view.path)
    return [
        Attached(instance, tuple(paths), _keeper_pid(Places(run_dir, instance)))
        for instance, paths in by_instance.items()
    ]


@contextmanager
def _locked(places: Places, *, last: bool = False) -> Iterator[None]:
    """One attach or detach of a server at a time; the `last` one takes the lock's file along."""
    try:
        places.run_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
        lock = _lock_file(places.lock)
    except OSError as error:
        raise DiskServerError(
            f"{places.run_dir} cannot be used: {error.strerror}", code="RUN_DIR_UNUSABLE"
        ) from error
    try:
        yield
        if last:
            places.lock.unlink(missing_ok=True)
    finally:
        os.close(lock)


def _lock_file(path: Path) -> int:
    """Lock the file that is at `path` once the lock is held: its last holder may remove it."""
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(lock), os.stat(path)):
                return lock
        os.close(lock)


def _make_directory(places: Places) -> None:
    # QEMU's account passes through to the view; nobody can list.
    places.directory.mkdir(mode=0o711)
    places.directory.chmod(0o711)


def _spawn(work: order.Order, image_key: bytes) -> None:
    """Start the process and wait for its answer."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-m", _MODULE, work.request.instance],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
        env=_ENVIRONMENT,
    )
    assert process.stdin is not None  # noqa: S101 - for mypy
    assert process.stdout is not None  # noqa: S101
    try:
        with suppress(BrokenPipeError):
            process.stdin.write(work.encode() + image_key)
            process.stdin.close()
        order.check_answer(_line(process.stdout.fileno()))
    except BaseException:
        # Before it has left for init's care its session is the one thing known of it.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        raise
    finally:
        process.stdout.close()
        process.wait()


def _line(descriptor: int) -> bytes:
    """Read up to the end of a line, or of the pipe."""
    deadline, line = time.monotonic() + _ATTACH_PATIENCE, b""
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise DiskServerError(
                f"the disk server did not answer in {_ATTACH_PATIENCE:.0f} seconds",
                code="DISK_SERVER_TIMEOUT",
            )
        piece = os.read(descriptor, 65536)
        if not piece:
            break
        line += piece
    return line


def _look(path: Path) -> None:
    """See that a view answers: the first sector can be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.pread(descriptor, 512, 0)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise DiskServerError(
            f"the view at {path} does not answer: {error.strerror}", code="VIEW_DEAD"
        ) from error


def _take_down(places: Places) -> None:
    """Unmount, see the keeper off, and remove what is left; nothing there is fine."""
    # Known before its views go: as it ends it takes its pid file along, and lives on for a moment.
    keeper = _keeper(places)
    try:
        clean = _unmount(places)
        if keeper is not None:
            _see_off(keeper, clean)
    finally:
        if keeper is not None:
            os.close(keeper)
    try:
        shutil.rmtree(places.directory, ignore_errors=False)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise DiskServerError(
            f"{places.directory} cannot be removed: {error.strerror}", code="DETACH_FAILED"
        ) from error


def _unmount(places: Places) -> bool:
    """Return whether every view went without force."""
    clean = True
    for view in reversed(mounts.views(places.instance)):
        try:
            clean &= mounts.unmount(view.path, _UNMOUNT_PATIENCE)
        except OSError as error:
            raise DiskServerError(
                f"{view.path} cannot be unmounted: {error.strerror}", code="DETACH_FAILED"
            ) from error
    return clean


def _keeper(places: Places) -> int | None:
    """Return a descriptor of the living keeper (pidfd), which stays its own whatever comes."""
    pid = _keeper_pid(places)
    if pid is None:
        return None
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    if _is_keeper(pid, places.instance):
        return handle
    os.close(handle)
    return None


def _see_off(keeper: int, clean: bool) -> None:
    """Wait for the keeper's end; one whose view is still held open does not end by itself."""
    if clean and _ended(keeper, _END_PATIENCE):
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(keeper, number)
        if _ended(keeper, _END_PATIENCE):
            return
    raise DiskServerError("the disk server does not end", code="DETACH_FAILED")


def _ended(handle: int, patience: float) -> bool:
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(patience * 1000))


def _keeper_pid(places: Places) -> int | None:
    """The living keeper's process id."""
    try:
        pid = int(places.pid_file.read_text())
    except (OSError, ValueError):
        return None
    return pid if _is_keeper(pid, places.instance) else None


def _is_keeper(pid: int, instance: str) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return _MODULE.encode() in words and instance.encode() in words
