# SPDX-License-Identifier: Apache-2.0
"""Which hosts are acted on now: a pure decision, with a brake.

A broken policy makes good hosts fail, many in a short time.  Where more are due than the rule
lets act on, none is: somebody has to look.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from e2etrust_core.appraisal.patterns import is_like

Action = Literal["none", "disable", "evacuate"]


@dataclass(frozen=True, slots=True)
class Rule:
    """As [revocation] has it.  ``expired``: also hosts that only fell silent."""

    action: Action = "none"
    hosts: tuple[str, ...] = ("*",)
    after_failures: int = 1
    after_seconds: float = 0.0
    expired: bool = False
    max_hosts_per_hour: int = 5
    max_fraction: float = 0.1
    force_down: bool = False
    reenable: bool = False


@dataclass(frozen=True, slots=True)
class Suspect:
    """A host that is not trusted.

    ``failures``: appraisals it failed in a row; ``code``: the first check's; ``kind``: why it is
    not trusted.
    """

    host: str
    since: datetime
    failures: int
    code: str
    kind: Literal["failed", "revoked", "expired"]


@dataclass(frozen=True, slots=True)
class Fleet:
    """``acted``: host -> when, of those that were acted on and not released; ``recent``: hosts
    acted on within the hour, released or not."""

    size: int
    trusted: frozenset[str]
    acted: Mapping[str, datetime]
    recent: frozenset[str]


@dataclass(frozen=True, slots=True)
class Plan:
    """``braked`` says why nothing new is done, or is empty."""

    act: list[Suspect]
    release: list[str]
    braked: str = ""


def plan(rule: Rule, suspects: list[Suspect], fleet: Fleet, now: datetime) -> Plan:
    """Return what is to be done."""
    release = sorted(host for host in fleet.acted if host in fleet.trusted)
    if rule.action == "none":
        return Plan([], release)
    due = [s for s in suspects if s.host not in fleet.acted and _is_due(rule, s, now)]
    braked = _brake(rule, due, fleet)
    return Plan([] if braked else due, release, braked)


def _is_due(rule: Rule, suspect: Suspect, now: datetime) -> bool:
    if not any(is_like(suspect.host, pattern) for pattern in rule.hosts):
        return False
    if suspect.kind == "expired" and not rule.expired:
        return False
    # Neither a silent nor a revoked host is appraised again: there is nothing to count.
    if suspect.kind == "failed" and suspect.failures < rule.after_failures:
        return False
    return now - suspect.since >= timedelta(seconds=rule.after_seconds)


def _brake(rule: Rule, due: list[Suspect], fleet: Fleet) -> str:
    if not due:
        return ""
    if len(fleet.recent | {s.host for s in due}) > rule.max_hosts_per_hour:
        return (
            f"{len(due)} hosts are due and {len(fleet.recent)} were acted on within the hour:"
            f" more than max_hosts_per_hour = {rule.max_hosts_per_hour}"
        )
    # One host at least, or a small cloud could never act.
    most = max(1, int(fleet.size * rule.max_fraction))
    if len(fleet.acted) + len(due) > most:
        return (
            f"{len(due)} hosts are due and {len(fleet.acted)} are out of use already:"
            f" more than max_fraction = {rule.max_fraction} of {fleet.size}"
        )
    return ""
