# SPDX-License-Identifier: Apache-2.0
"""How the fleet stands, as the rule wants to see it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from e2etrust_verifier.db import hosts, leases, revocations, verdicts
from e2etrust_verifier.db.models import HostState
from e2etrust_verifier.revocation.rule import Fleet, Rule, Suspect
from e2etrust_verifier.trust import current_policy, standing

_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Found:
    """``undone``: hosts with which a try has not come to its end."""

    suspects: list[Suspect]
    fleet: Fleet
    undone: list[str]


def look(session: Session, rule: Rule, now: datetime) -> Found:
    """Read it; only hosts that are not trusted cost a row."""
    acted = revocations.everyone(session)
    suspects = [_suspect(session, rule, state) for state in hosts.failed_states(session)]
    return Found(
        suspects,
        Fleet(
            size=hosts.count(session),
            trusted=frozenset(leases.levels(session, now)),
            acted={row.host: row.acted_at for row in acted},
            recent=frozenset(revocations.acted_since(session, now - _HOUR)),
        ),
        [row.host for row in acted if not row.done],
    )


def _suspect(session: Session, rule: Rule, state: HostState) -> Suspect:
    failed = standing.failed_checks(state)
    code = failed[0].code if failed else ""
    if failed == [standing.EXPIRED] or [c.check for c in failed] == [current_policy.CHECK]:
        # Nothing came; where there was no policy for it, nothing was asked either.
        return Suspect(state.host, state.since, 0, code, "expired")
    if code == standing.REVOKED_CODE:
        return Suspect(state.host, state.since, 0, code, "revoked")
    failures = 1
    if rule.after_failures > 1:
        failures = verdicts.failures_in_a_row(session, state.host, rule.after_failures)
    return Suspect(state.host, state.since, failures, code, "failed")
