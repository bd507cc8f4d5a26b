# SPDX-License-Identifier: Apache-2.0
"""What this process knows stays off the disk when it crashes: image keys pass through it."""

from __future__ import annotations

import ctypes
import resource

_PR_SET_DUMPABLE = 4


def leave_no_core() -> None:
    """No core dump, to a file or to a program that collects them; no ptrace but by root."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
