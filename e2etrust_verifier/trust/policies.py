# SPDX-License-Identifier: Apache-2.0
"""Host policies: YAML files in one directory, read anew when they change."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from e2etrust_core.appraisal.model import HostPolicy
from e2etrust_core.appraisal.policy import TimedPolicy, parse_timed_policy
from e2etrust_core.appraisal.policy_ima import FilesBeside, FileStamp, stamp_of
from e2etrust_core.errors import PolicyError
from e2etrust_verifier.trust.errors import PolicyMissing


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """A file of the directory: what it says, or why it cannot be read."""

    name: str
    timed: TimedPolicy | None
    fault: PolicyError | None = None


#: Of each file what tells it from another: its name, and :func:`.policy_ima.stamp_of` it.
_Stamp = tuple[tuple[str, FileStamp], ...]


class PolicyStore:
    """The policies of a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._stamp: _Stamp | None = None
        self._read: list[PolicyFile] = []
        self._files = FilesBeside(directory)

    def policy_for(self, host: str, now: datetime) -> HostPolicy:
        """Return the first policy, by file name, whose patterns match *host*, as it stands *now*.

        :raises PolicyMissing: none does.
        :raises PolicyError: a file of the directory is malformed.  No host passes until it is
            corrected, because nobody can tell which hosts that file was meant for.
        """
        files = self.files()
        for file in files:
            if file.fault is not None:
                raise file.fault
        for policy in (file.timed.at(now) for file in files if file.timed is not None):
            if policy.speaks_of(host):
                return policy
        raise PolicyMissing(f"no policy matches host {host}")

    def files(self) -> list[PolicyFile]:
        """Return what the directory holds, by file name."""
        with self._lock:
            # Also what policies name: allowlists and keyrings stand beside them.
            stamp = _stamp_of_all(self._directory)
            if stamp != self._stamp:
                there = [self._directory / name for name, _ in stamp]
                paths = [path for path in there if path.suffix == ".yaml"]
                self._read = [self._file(path) for path in paths]
                self._files.forget_unasked()
                # What cannot be read may be so by more than its contents: it is tried again.
                bad = any(file.fault is not None for file in self._read)
                self._stamp = None if bad else stamp
            return self._read

    def _file(self, path: Path) -> PolicyFile:
        try:
            return PolicyFile(path.name, read_policy(path, self._files))
        except PolicyError as exc:
            return PolicyFile(path.name, None, exc)


def _stamp_of_all(directory: Path) -> _Stamp:
    """Return the stamp of *directory*, empty where it cannot be listed.

    Each challenge and each answer asks for it: one look at each file, however many policies there
    are.
    """
    try:
        with os.scandir(directory) as found:
            return tuple(sorted((one.name, stamp_of(one)) for one in found if one.is_file()))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return ()


def read_policy(path: Path, files: FilesBeside | None = None) -> TimedPolicy:
    """Return the policy in a file with all its windows, with the allowlists and keyrings beside it.

    :raises PolicyError: naming the file.
    """
    try:
        return parse_timed_policy(
            path.read_text(encoding="utf-8"), files or FilesBeside(path.parent)
        )
    except PolicyError as exc:
        raise PolicyError(
            f"{path.name}: {exc.reason}", code=exc.code, remedy="e2etrust-manage policy check FILE"
        ) from None
    except (OSError, UnicodeDecodeError) as exc:
        raise PolicyError(f"{path.name} cannot be read: {exc}") from None
