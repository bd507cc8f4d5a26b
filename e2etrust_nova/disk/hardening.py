# SPDX-License-Identifier: Apache-2.0
"""Keeps keys and plaintext of this process off the disk and out of other processes."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal

from e2etrust_core.no_dumps import leave_no_core

_PR_SET_PDEATHSIG = 1
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_libc = ctypes.CDLL(None, use_errno=True)


def seal_process() -> None:
    """No core dump, no ptrace and no /proc/<pid>/mem but for root; private files."""
    os.umask(0o077)
    leave_no_core()


def lock_memory() -> bool:
    """Keep what this process uses of memory, now and later, out of swap; not inherited by fork.

    :returns: False where the kernel refuses (RLIMIT_MEMLOCK without CAP_IPC_LOCK).
    """
    return _libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) == 0


def spare_from_oom() -> None:
    """Ask the kernel to kill others first when memory runs out: a guest's disk hangs on this."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("-900")


def die_with_parent(parent: int) -> None:
    """Be killed when the process `parent` that forked this one dies."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(71)
