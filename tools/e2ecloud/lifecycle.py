# SPDX-License-Identifier: Apache-2.0
"""Bring the cloud up and take it down."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from e2ecloud import credentials as creds
from e2ecloud import hosts, installation, lock, prerequisites, process
from e2ecloud import namespace as ns
from e2ecloud.config.shared import Site
from e2ecloud.errors import CloudError, NotRunning
from e2ecloud.layout import HOSTS, Cloud
from e2ecloud.progress import Progress
from e2ecloud.startup import Startup, open_namespace, outer_record


def up(cloud: Cloud, progress: Progress) -> bool:
    """Start the cloud; whether anything had to be done.

    :raises CloudError: when a step fails; what was started stays for a look, until ``down``.
    """
    prerequisites.check(cloud)
    with lock.exclusive(cloud):
        if complete(cloud):
            return False
        _end_everything(cloud)
        site = installation.create(cloud)
        space = open_namespace(cloud)
        progress.done("namespace, configuration, TPM chips")
        Startup(site, space, progress).run()
        _complete_mark(cloud).touch()
    return True


def down(cloud: Cloud) -> None:
    """Take everything away, from any state, and delete it but for cache and logs.

    :raises CloudError: when a process cannot be ended.
    """
    if not cloud.root.is_dir():
        return
    # It runs in traps, while an ``up`` that lost its caller may still go on.
    lock.end_holder(cloud)
    with lock.exclusive(cloud, patience=30):
        _end_everything(cloud)
        installation.remove(cloud)


def complete(cloud: Cloud) -> bool:
    """Whether the last ``up`` came to its end and the cloud still runs."""
    return _complete_mark(cloud).exists() and ns.load(outer_record(cloud)) is not None


def space_of(cloud: Cloud) -> ns.Namespace:
    """The cloud's namespace.

    :raises NotRunning: when the cloud is down.
    """
    found = ns.load(outer_record(cloud))
    if found is None:
        raise NotRunning("the cloud is not up", remedy="start it: tools/cloud up")
    return found


def site_of(cloud: Cloud) -> Site:
    """:raises NotRunning: when there is no cloud."""
    return Site(cloud, creds.load(cloud.credentials_file()))


def _complete_mark(cloud: Cloud) -> Path:
    return cloud.run / "complete"


def _end_everything(cloud: Cloud) -> None:
    for host in HOSTS:
        space = ns.load(hosts.namespace_record(cloud, host))
        if space is not None:
            ns.kill(space)
    outer = ns.load(outer_record(cloud))
    if outer is not None:
        ns.kill(outer)
    _end_leftovers(cloud)


def _end_leftovers(cloud: Cloud, patience: float = 20.0) -> None:
    seen: set[int] = set()
    deadline = time.monotonic() + patience
    while left := _leftovers(cloud) | {pid for pid in seen if ns.pid_inode(pid)}:
        seen |= left
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if time.monotonic() > deadline:
            raise CloudError(f"processes of the cloud do not end: {sorted(left)}")
        time.sleep(0.05)


def _leftovers(cloud: Cloud) -> set[int]:
    """Processes that carry the cloud's mark in their environment, in any namespace."""
    mark = f"{process.MARKER}={cloud.root}".encode()
    found = set()
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            try:
                environment = Path(f"/proc/{entry}/environ").read_bytes()
            except OSError:
                continue
            if mark in environment.split(b"\0"):
                found.add(int(entry))
    return found
