# SPDX-License-Identifier: Apache-2.0
"""Host policies that are read, and by which more may be trusted than was meant."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path

from e2etrust_core.appraisal.policy_cautions import cautions
from e2etrust_verifier.trust.policies import PolicyFile


def doubtful(directory: Path, read: list[PolicyFile], now: datetime) -> list[str]:
    """Name what is odd about the policies *read* of *directory*, and about what was not read."""
    return [*_unread(directory), *_of_policies(read, now)]


def _unread(directory: Path) -> Iterator[str]:
    for path in sorted(directory.glob("*")):
        if path.suffix != ".yaml" and path.suffix.lower() in (".yaml", ".yml"):
            yield f"nobody reads {path.name}: call it {path.stem}.yaml, or take it away"


def _of_policies(read: list[PolicyFile], now: datetime) -> Iterator[str]:
    before: list[tuple[str, str]] = []
    for file in read:
        if file.timed is None:
            continue
        policy = file.timed.at(now)
        yield from (f"{file.name}: {one}" for one in cautions(policy))
        covers = [_first_to_cover(pattern, before) for pattern in policy.hosts]
        if all(covers):
            others = ", ".join(sorted({one for one in covers if one}))
            yield f"{file.name} is for no host: {others} comes first, by name, for all of its hosts"
        before += [(pattern, file.name) for pattern in policy.hosts]


def _first_to_cover(pattern: str, before: list[tuple[str, str]]) -> str | None:
    """Return the file with a pattern that fits whatever *pattern* does.

    A pattern whose only sign is ``*`` does where it fits the other's own text, signs and all.
    """
    for other, name in before:
        if other == pattern or not set("?[") & set(other) and fnmatchcase(pattern, other):
            return name
    return None
