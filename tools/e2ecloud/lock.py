# SPDX-License-Identifier: Apache-2.0
"""One change of a cloud at a time."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from e2ecloud.errors import Busy
from e2ecloud.layout import Cloud


@contextmanager
def exclusive(cloud: Cloud, patience: float = 0.0) -> Iterator[None]:
    """Hold the cloud's lock.

    :param patience: seconds to wait for it.
    :raises Busy: when another process holds it for longer.
    """
    cloud.root.mkdir(parents=True, exist_ok=True)
    # Children must not inherit it: a service that outlives this process would keep the lock.
    descriptor = os.open(cloud.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _acquire(descriptor, time.monotonic() + patience)
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise Busy(
                    "another tools/cloud is changing this cloud", remedy="wait until it is done"
                ) from None
            time.sleep(0.1)
        else:
            return


def end_holder(cloud: Cloud, patience: float = 5.0) -> None:
    """Stop a change that is under way in another process: by SIGTERM, then by SIGKILL.

    What it leaves behind is the business of who calls this.
    """
    for how in (None, signal.SIGTERM, signal.SIGKILL):
        try:
            if how is not None:
                os.kill(_holder(cloud), how)
            with exclusive(cloud, patience=patience):
                return
        except (Busy, ProcessLookupError):
            continue


def _holder(cloud: Cloud) -> int:
    """The process that wrote its PID when it took the lock.

    :raises ProcessLookupError: when there is none but this one.
    """
    text = (cloud.root / "lock").read_text()
    if not text.isdigit() or int(text) == os.getpid():
        raise ProcessLookupError
    return int(text)
