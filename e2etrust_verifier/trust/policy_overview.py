# SPDX-License-Identifier: Apache-2.0
"""The policies of a directory as operators see them: what counts, for how many hosts, and why not.

It is this process's directory: a worker with another one applies what lies there, and is told of.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from sqlalchemy.orm import Session

from e2etrust_core.appraisal.model import HostPolicy
from e2etrust_core.errors import E2ETrustError, PolicyError
from e2etrust_verifier.db import hosts, policy_versions
from e2etrust_verifier.db.models import PolicyVersion
from e2etrust_verifier.trust.errors import PolicyAltered
from e2etrust_verifier.trust.policies import PolicyFile, PolicyStore
from e2etrust_verifier.trust.policy_versions import refusal_of
from e2etrust_verifier.trust.worker_policies import AtWorkers, at_workers

#: ``new``: a version that was not applied yet, since no host has asked; ``blocked``: good by
#: itself, and no host passes because another file cannot be read.
PolicyWord = Literal["in-force", "new", "rolled-back", "altered", "unreadable", "blocked"]


@dataclass(frozen=True, slots=True)
class PolicyStanding:
    """``policy`` is as it stands now, None where the file is unreadable; ``newest`` the highest
    version that was ever applied; ``hosts`` how many enrolled hosts it is the first to match;
    ``fault`` why it does not count; ``workers`` how many have this very policy."""

    file: str
    word: PolicyWord
    policy: HostPolicy | None
    moments: tuple[datetime, ...]
    newest: int | None
    hosts: int
    fault: E2ETrustError | None
    workers: int = 0


@dataclass(frozen=True, slots=True)
class Overview:
    """In the order in which policies are looked at; ``without``: hosts that none matches;
    ``at_workers``: what live workers have."""

    policies: list[PolicyStanding]
    without: int
    at_workers: AtWorkers


def overview(session: Session, store: PolicyStore, now: datetime) -> Overview:
    """Return what the directory of *store* says now."""
    files = store.files()
    known = {one.name: one for one in policy_versions.everyone(session)}
    counts, without = _matched([_patterns(one) for one in files], hosts.names(session))
    unreadable = next((one for one in files if one.fault is not None), None)
    there = at_workers(session, now)
    found = [
        replace(_standing(one, unreadable, known, count, now), workers=there.having(one))
        for one, count in zip(files, counts, strict=True)
    ]
    return Overview(found, without, there)


def _standing(
    file: PolicyFile,
    unreadable: PolicyFile | None,
    known: dict[str, PolicyVersion],
    count: int,
    now: datetime,
) -> PolicyStanding:
    if file.timed is None:
        return PolicyStanding(file.name, "unreadable", None, (), None, count, file.fault)
    policy = file.timed.at(now)
    newest = known.get(policy.name)
    word, fault = _word(policy, newest, unreadable)
    version = newest.version if newest is not None else None
    return PolicyStanding(file.name, word, policy, file.timed.moments, version, count, fault)


def _word(
    policy: HostPolicy, newest: PolicyVersion | None, unreadable: PolicyFile | None
) -> tuple[PolicyWord, E2ETrustError | None]:
    refused = refusal_of(policy, newest)
    if refused is not None:
        return "altered" if isinstance(refused, PolicyAltered) else "rolled-back", refused
    if unreadable is not None:
        return "blocked", PolicyError(
            f"no host passes while {unreadable.name} cannot be read",
            remedy="correct that file: e2etrust-manage policy check FILE says what is wrong",
        )
    applied = policy.version is None or (newest is not None and newest.version == policy.version)
    return "in-force" if applied else "new", None


def _patterns(file: PolicyFile) -> re.Pattern[str] | None:
    if file.timed is None:
        return None
    return re.compile("|".join(fnmatch.translate(one) for one in file.timed.at(None).hosts))


def _matched(
    patterns: Sequence[re.Pattern[str] | None], names: Collection[str]
) -> tuple[list[int], int]:
    counts, without = [0] * len(patterns), 0
    for name in names:
        for number, pattern in enumerate(patterns):
            if pattern is not None and pattern.match(name):
                counts[number] += 1
                break
        else:
            without += 1
    return counts, without
