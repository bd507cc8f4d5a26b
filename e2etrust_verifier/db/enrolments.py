# SPDX-License-Identifier: Apache-2.0
"""Credential challenges that wait for their one answer."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from e2etrust_verifier.db.models import Enrolment

#: Enrolments one host name may have open; an older one gives way.
OPEN_PER_HOST = 8


def add(session: Session, enrolment: Enrolment) -> None:
    session.add(enrolment)
    session.flush()
    surplus = session.scalars(
        sa.select(Enrolment.id)
        .where(Enrolment.host == enrolment.host)
        .order_by(Enrolment.created_at.desc())
        .offset(OPEN_PER_HOST)
    ).all()
    if surplus:
        session.execute(sa.delete(Enrolment).where(Enrolment.id.in_(surplus)))


def take(session: Session, enrolment_id: str, now: datetime) -> Enrolment | None:
    """Return the enrolment and delete it: whatever the answer was, there is no second."""
    found = session.get(Enrolment, enrolment_id)
    if found is None:
        return None
    session.expunge(found)
    gone = session.execute(sa.delete(Enrolment).where(Enrolment.id == enrolment_id))
    if gone.rowcount != 1 or found.expires_at <= now:  # type: ignore[attr-defined]
        return None
    return found


def forget_expired(session: Session, now: datetime) -> None:
    session.execute(sa.delete(Enrolment).where(Enrolment.expires_at <= now))
