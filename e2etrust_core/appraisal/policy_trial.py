# SPDX-License-Identifier: Apache-2.0
"""A policy tried on recorded evidence, and what it would change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from e2etrust_core.appraisal.checks import NOT_REACHED
from e2etrust_core.appraisal.model import CheckResult, HostPolicy
from e2etrust_core.appraisal.recorded import RecordedAppraisal, appraise_again

_NAMED = 5


@dataclass(frozen=True, slots=True)
class Trial:
    """One host's evidence: by the policy ``by`` it was ``before`` trusted or not, ``checks`` are
    what comes out by the one that is tried."""

    host: str
    by: str
    fingerprint: str
    before: list[CheckResult]
    checks: list[CheckResult]

    @property
    def was_trusted(self) -> bool:
        return _trusted(self.before)

    @property
    def trusted(self) -> bool:
        return _trusted(self.checks)

    @property
    def newly_refused(self) -> list[CheckResult]:
        """What fails now, and passed or was not asked before."""
        failed = {row.check for row in self.before if row.outcome != "pass"}
        return [row for row in _failed(self.checks) if row.check not in failed]

    @property
    def newly_accepted(self) -> list[CheckResult]:
        """What failed before (as it was told then), and passes now or is not asked any more."""
        failed = {row.check for row in self.checks if row.outcome != "pass"}
        return [row for row in _failed(self.before) if row.check not in failed]


def try_policy(
    recorded: RecordedAppraisal, policy: HostPolicy, against: HostPolicy | None = None
) -> Trial:
    """Appraise recorded evidence by *policy*.

    :param against: what to compare it with; None: what came out when the evidence was recorded, by
        the policy that was in force then.
    """
    checks = appraise_again(recorded, policy).verdict.checks
    if against is None:
        before, by, fingerprint = recorded.checks, recorded.policy, recorded.fingerprint
    else:
        before = appraise_again(recorded, against).verdict.checks
        by, fingerprint = against.name, against.fingerprint
    return Trial(recorded.host, by, fingerprint, before, checks)


def told_of_host(trial: Trial) -> list[str]:
    """Say in a few lines what changes for a host, check by check."""
    lines = [f"by {trial.by}: {_word(trial.was_trusted)}; now: {_word(trial.trusted)}"]
    for words, rows in (
        ("newly refused", trial.newly_refused),
        ("newly accepted", trial.newly_accepted),
    ):
        if rows:
            told = ", ".join(f"{row.check} ({row.code})" for row in rows[:_NAMED])
            lines.append(f"{len(rows)} checks {words}: {told}{_more(len(rows))}")
    return lines


def told_of_fleet(trials: Sequence[Trial], unknown: Sequence[str]) -> list[str]:
    """Say how many hosts would be newly refused, newly accepted, and as they are.

    :param unknown: hosts of whom nothing is recorded that could be appraised.
    """
    refused = [one.host for one in trials if one.was_trusted and not one.trusted]
    accepted = [one.host for one in trials if one.trusted and not one.was_trusted]
    same = len(trials) - len(refused) - len(accepted)
    lines = [_hosts("newly refused", refused), _hosts("newly accepted", accepted)]
    lines.append(f"{same} hosts as before")
    return [*lines, _hosts("without evidence to judge", unknown)] if unknown else lines


def _hosts(words: str, names: Sequence[str]) -> str:
    told = f": {', '.join(names[:_NAMED])}{_more(len(names))}" if names else ""
    return f"{len(names)} hosts {words}{told}"


def _more(count: int) -> str:
    return f" and {count - _NAMED} more" if count > _NAMED else ""


def _word(trusted: bool) -> str:  # noqa: FBT001 - a word for it
    return "trusted" if trusted else "not trusted"


def _failed(rows: Sequence[CheckResult]) -> list[CheckResult]:
    return [row for row in rows if row.outcome != "pass" and row.code != NOT_REACHED]


def _trusted(rows: Sequence[CheckResult]) -> bool:
    return bool(rows) and all(row.outcome == "pass" for row in rows)
