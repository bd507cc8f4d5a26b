# SPDX-License-Identifier: Apache-2.0
"""Verdicts with a row a check."""

from __future__ import annotations

from datetime import datetime
from typing import cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from e2etrust_core.appraisal.model import CheckResult, Outcome
from e2etrust_verifier.db.models import Check, Verdict


def add(
    session: Session,
    host: str,
    purpose: str,
    policy: str,
    checks: list[CheckResult],
    *,
    trusted: bool,
    now: datetime,
    version: int | None = None,
) -> None:
    """Write a verdict down; *version* is that of the policy, where it has one."""
    rows = [
        Check(
            position=n,
            name=c.check,
            outcome=c.outcome,
            code=c.code,
            reason=c.reason,
            remedy=c.remedy,
            location=c.where,
        )
        for n, c in enumerate(checks)
    ]
    verdict = Verdict(host=host, at=now, purpose=purpose, policy=policy, trusted=trusted)
    verdict.policy_version, verdict.checks = version, rows
    session.add(verdict)


def last(session: Session, host: str) -> Verdict | None:
    query = sa.select(Verdict).where(Verdict.host == host).order_by(Verdict.id.desc()).limit(1)
    return session.scalars(query).first()


def failures_in_a_row(session: Session, host: str, most: int) -> int:
    """Return how many of a host's newest verdicts, up to *most*, are failures in a row."""
    query = sa.select(Verdict.trusted).where(Verdict.host == host).order_by(Verdict.id.desc())
    newest = session.scalars(query.limit(most)).all()
    return next((n for n, trusted in enumerate(newest) if trusted), len(newest))


def page(session: Session, host: str, before: int | None, limit: int) -> list[Verdict]:
    """Return up to *limit* verdicts of a host, newest first, those older than number *before*."""
    query = sa.select(Verdict).where(Verdict.host == host).order_by(Verdict.id.desc()).limit(limit)
    if before is not None:
        query = query.where(Verdict.id < before)
    return list(session.scalars(query))


def results(verdict: Verdict | None) -> list[CheckResult]:
    """Return a stored verdict's checks as values."""
    if verdict is None:
        return []
    return [
        CheckResult(c.name, cast(Outcome, c.outcome), c.reason, c.code, c.remedy, c.location)
        for c in verdict.checks
    ]


def keep_newest(session: Session, count: int) -> None:
    """Delete all but the newest *count* verdicts of each host."""
    number = sa.func.count()
    crowded = sa.select(Verdict.host).group_by(Verdict.host).having(number > count)
    for host in session.scalars(crowded).all():
        oldest = session.scalars(
            sa.select(Verdict.id)
            .where(Verdict.host == host)
            .order_by(Verdict.id.desc())
            .offset(count)
            .limit(1)
        ).first()
        if oldest is not None:
            old = sa.select(Verdict.id).where(Verdict.host == host, Verdict.id <= oldest)
            ids = session.scalars(old).all()
            session.execute(sa.delete(Check).where(Check.verdict_id.in_(ids)))
            session.execute(sa.delete(Verdict).where(Verdict.id.in_(ids)))
