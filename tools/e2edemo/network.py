# SPDX-License-Identifier: Apache-2.0
"""Put this process into the cloud's network namespace, so that it can talk to the APIs."""

from __future__ import annotations

import ctypes
import os

from e2ecloud.errors import CloudError

_CLONE_NEWNET = 0x40000000


def enter_network(init_pid: int) -> None:
    """Join the network namespace of process *init_pid*.

    A network namespace is a thread's: call this before any other thread is started.

    :raises CloudError: no such process, or not root.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        descriptor = os.open(f"/proc/{init_pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as exc:
        raise CloudError(f"the cloud's network cannot be entered: {exc}") from exc
    try:
        if libc.setns(descriptor, _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise CloudError(f"the cloud's network cannot be entered: {os.strerror(number)}")
    finally:
        os.close(descriptor)
