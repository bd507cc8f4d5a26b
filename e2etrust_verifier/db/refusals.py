# SPDX-License-Identifier: Apache-2.0
"""Refused starts, for the tenant to read."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from e2etrust_verifier.db.models import Refusal


def add(session: Session, refusal: Refusal, keep: int) -> None:
    """Write it, and keep the newest *keep* of that server."""
    session.add(refusal)
    session.flush()
    surplus = session.scalars(
        sa.select(Refusal.id)
        .where(Refusal.instance == refusal.instance)
        .order_by(Refusal.id.desc())
        .offset(keep)
    ).all()
    if surplus:
        session.execute(sa.delete(Refusal).where(Refusal.id.in_(surplus)))


def of_instance(session: Session, instance: str) -> list[Refusal]:
    """Return refusals of a server, newest first."""
    query = sa.select(Refusal).where(Refusal.instance == instance).order_by(Refusal.id.desc())
    return list(session.scalars(query))
