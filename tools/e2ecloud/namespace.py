# SPDX-License-Identifier: Apache-2.0
"""Namespaces: one around the whole cloud, and one in it for each compute host.

Each is held by a PID 1 of its own; killing that one process with SIGKILL takes every process,
mount and network link of the namespace away.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from e2ecloud.errors import CloudError, NotRunning


@dataclass(frozen=True)
class Namespace:
    """PID 1 of a namespace as seen from outside, and the inode that tells it from a reused PID.

    ``starter_pid`` is the process that waits for PID 1; it ends by itself right after it.
    """

    init_pid: int
    pid_inode: str
    starter_pid: int

    def alive(self) -> bool:
        return pid_inode(self.init_pid) == self.pid_inode


def pid_inode(pid: int) -> str:
    """Which PID namespace a process is in; "" for one that has ended, reaped or not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return "" if state in "ZX" else os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""


def save(namespace: Namespace, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(namespace)))


def load(path: Path) -> Namespace | None:
    """The namespace that ``path`` records, or None when it is gone."""
    try:
        namespace = Namespace(**json.loads(path.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return namespace if namespace.alive() else None


def create(
    init: Sequence[str],
    record: Path,
    log: Path,
    *,
    outer: Namespace | None = None,
    environment: Mapping[str, str] | None = None,
) -> Namespace:
    """Start ``init`` as PID 1 of new mount, PID, network, IPC and UTS namespaces.

    :raises CloudError: when unshare did not start it (no root, or a kernel that forbids it).
    """
    unshare = ["unshare", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork"]
    unshare += ["--kill-child", "--mount-proc", "--propagation", "private", "--", *init]
    command = unshare if outer is None else [*enter_command(outer), *unshare]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        starter = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env=dict(environment) if environment is not None else None,
        )
    generations = 1 if outer is None else 2  # nsenter forks once, unshare once
    init_pid = _descendant(starter, generations, log)
    namespace = Namespace(init_pid, pid_inode(init_pid), starter.pid)
    save(namespace, record)
    return namespace


def _descendant(starter: subprocess.Popen[bytes], generations: int, log: Path) -> int:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        pid: int | None = starter.pid
        for _ in range(generations):
            pid = _only_child(pid) if pid is not None else None
        if pid is not None:
            return pid
        if starter.poll() is not None:
            break
        time.sleep(0.02)
    raise CloudError("a namespace could not be made with unshare", log=log)


def _only_child(pid: int) -> int | None:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return None
    return int(children[0]) if children else None


def enter_command(namespace: Namespace, directory: Path = Path("/")) -> list[str]:
    """The argv prefix that runs a program in ``namespace``, from ``directory`` there.

    :raises NotRunning: when the namespace is gone.
    """
    if not namespace.alive():
        raise NotRunning("the namespace is gone", remedy="start the cloud: tools/cloud up")
    pid = str(namespace.init_pid)
    return ["nsenter", "-t", pid, "-m", "-u", "-i", "-n", "-p", f"--wdns={directory}", "--"]


def members(namespace: Namespace) -> dict[int, int]:
    """Processes of exactly this PID namespace: PID inside -> PID as the caller sees it."""
    found: dict[int, int] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and pid_inode(int(entry)) == namespace.pid_inode:
            inside = _pid_inside(int(entry))
            if inside is not None:
                found[inside] = int(entry)
    return found


def _pid_inside(pid: int) -> int | None:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    for line in status.splitlines():
        if line.startswith("State:") and "Z" in line.split()[1]:
            return None
        if line.startswith("NSpid:"):
            return int(line.split()[-1])
    return None


def kill(namespace: Namespace, timeout: float = 20.0) -> None:
    """SIGKILL PID 1 and wait until the whole namespace is empty.

    :raises CloudError: when processes are left after ``timeout`` seconds.
    """
    if namespace.alive():
        try:
            os.kill(namespace.init_pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    deadline = time.monotonic() + timeout
    while namespace.alive() or members(namespace):
        if time.monotonic() > deadline:
            raise CloudError(f"processes of namespace {namespace.pid_inode} do not end")
        time.sleep(0.02)
    _see_out(namespace.starter_pid)


def _see_out(starter: int, patience: float = 5.0) -> None:
    """Wait until the starter is gone from the process table.

    It is nobody's fault when it is not: the machine's own PID 1 may be slow to reap.
    """
    try:
        os.waitpid(starter, 0)
    except ChildProcessError:
        pass
    deadline = time.monotonic() + patience
    while os.path.exists(f"/proc/{starter}") and time.monotonic() < deadline:
        time.sleep(0.02)
