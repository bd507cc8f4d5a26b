# SPDX-License-Identifier: Apache-2.0
"""Reports that wait on disk until the verifier can be told: one file a report.

The agent keeps its own here, and the hook leaves a refusal here when the agent is down.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from e2etrust_agent.client.private_files import private_directory, read_private, write_private
from e2etrust_agent.client.protocol import RefusalNote
from e2etrust_agent.errors import ForeignFileError, StateError
from e2etrust_core import wire
from e2etrust_core.errors import InputError
from e2etrust_core.messages import LaunchUpdate

DEFAULT_REPORT_DIR = Path("/var/lib/e2etrust/reports")
#: More reports than this are not kept: the oldest go first.
MAX_REPORTS = 1000
MAX_REPORT = 64 * 1024
_NAME = re.compile(r"[0-9]{20}-[0-9a-f]{8}\.json")


@dataclass(frozen=True, slots=True)
class Report:
    """Exactly one of the two is set."""

    refusal: RefusalNote | None = None
    update: LaunchUpdate | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A report on disk."""

    path: Path
    report: Report


def leave_refusal(note: RefusalNote, directory: Path = DEFAULT_REPORT_DIR) -> None:
    """Leave a refusal on disk for the agent to send on.

    :raises StateError: the directory is not a private one of ours, or the disk is full.
    """
    leave(Report(refusal=note), directory)


def leave(report: Report, directory: Path) -> None:
    """Write *report* so that it is there whole or not at all, in order of time.

    :raises StateError: the directory is not a private one of ours, or the disk is full.
    """
    private_directory(directory)
    name = f"{time.time_ns():020d}-{secrets.token_hex(4)}.json"
    write_private(directory / name, wire.to_json(report))
    for old in _names(directory)[:-MAX_REPORTS]:
        (directory / old).unlink(missing_ok=True)


def waiting(directory: Path) -> list[Waiting]:
    """Return the reports that wait, oldest first; what is none of ours is removed.

    :raises StateError: the directory is not a private one of ours.
    """
    private_directory(directory)
    found = []
    for name in _names(directory):
        path = directory / name
        try:
            found.append(Waiting(path, wire.from_json(Report, read_private(path, MAX_REPORT))))
        except (InputError, ForeignFileError):
            path.unlink(missing_ok=True)
        except (FileNotFoundError, StateError):
            continue  # it went meanwhile, or waits until it can be read
    return found


def _names(directory: Path) -> list[str]:
    return sorted(name for name in os.listdir(directory) if _NAME.fullmatch(name))
