# SPDX-License-Identifier: Apache-2.0
"""Run a system tool that knows an image or file system better than we should."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from e2etrust_core.sealed.errors import NoSpaceError, ToolError

#: Debian keeps mke2fs's and sfdisk's family out of a plain user's PATH.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run(
    arguments: Sequence[str], *, cwd: Path | None = None, accept: Sequence[int] = (0,)
) -> subprocess.CompletedProcess[str]:
    """Run to the end with a fixed locale and no input.

    :param accept: exit codes that are answers.
    :raises NoSpaceError: it failed because the disk is full.
    :raises ToolError: it is missing, or ended with another code; the reason has its last line.
    """
    try:
        done = subprocess.run(
            list(arguments),
            cwd=cwd,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError:
        raise ToolError(f"{arguments[0]} is not installed") from None
    if done.returncode not in accept:
        raise failure(arguments[0], done.returncode, done.stderr)
    return done


def environment() -> dict[str, str]:
    """The caller's environment, but for what would change a tool's words or place."""
    return {**os.environ, "LC_ALL": "C", "PATH": _PATH}


def failure(name: str, code: int, stderr: str) -> NoSpaceError | ToolError:
    """What a tool's ending with an error means."""
    if "No space left on device" in stderr or "Disk quota exceeded" in stderr:
        return NoSpaceError("the disk is full")
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return ToolError(f"{name} ended with {code}: {lines[-1] if lines else 'it said nothing'}")
