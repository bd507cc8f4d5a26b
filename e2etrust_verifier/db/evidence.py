# SPDX-License-Identifier: Apache-2.0
"""Recorded evidence: written where it says something new, and the newest of each host kept."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session, defer

from e2etrust_core import wire
from e2etrust_core.appraisal.recorded import RecordedAppraisal
from e2etrust_verifier.db.models import Evidence

KEPT = 10


def add(session: Session, recorded: RecordedAppraisal, now: datetime) -> None:
    """Record, and forget all but the newest of that host."""
    failed = [check for check in recorded.checks if check.outcome != "pass"]
    session.add(
        Evidence(
            host=recorded.host,
            at=now,
            policy=recorded.policy,
            fingerprint=recorded.fingerprint,
            trusted=recorded.trusted,
            failed=wire.to_json(failed).decode(),
            record=wire.to_json(recorded).decode(),
        )
    )
    session.flush()
    old = sa.select(Evidence.id).where(Evidence.host == recorded.host).order_by(Evidence.id.desc())
    surplus = session.scalars(old.offset(KEPT)).all()
    if surplus:
        session.execute(sa.delete(Evidence).where(Evidence.id.in_(surplus)))


def of_host(session: Session, host: str) -> list[Evidence]:
    """Return what is recorded of a host, newest first, without the evidence itself."""
    query = sa.select(Evidence).options(defer(Evidence.record, raiseload=True))
    return list(session.scalars(query.where(Evidence.host == host).order_by(Evidence.id.desc())))


def find(session: Session, host: str, number: int) -> Evidence | None:
    query = sa.select(Evidence).where(Evidence.host == host, Evidence.id == number)
    return session.scalars(query).first()
