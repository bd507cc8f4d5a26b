# SPDX-License-Identifier: Apache-2.0
"""Leases: written when granted, ended once."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from e2etrust_verifier.db.models import HostState, Lease


def add(session: Session, lease: Lease) -> None:
    session.add(lease)


def end(session: Session, lease_id: str, why: str, now: datetime) -> None:
    session.execute(
        sa.update(Lease)
        .where(Lease.id == lease_id, Lease.ended_at.is_(None))
        .values(ended_at=now, ended=why)
    )


def run_out(session: Session, now: datetime) -> list[str]:
    """Return hosts whose lease has run out and is not ended yet."""
    query = sa.select(HostState.host).where(
        HostState.lease_id.is_not(None), HostState.lease_expires_at <= now
    )
    return list(session.scalars(query))


def holders(session: Session, now: datetime) -> set[str]:
    """Return the names of all hosts that are leased now."""
    query = sa.select(HostState.host).where(
        HostState.lease_id.is_not(None),
        HostState.lease_expires_at > now,
        HostState.held.is_(False),
    )
    return set(session.scalars(query))


def forget_ended_before(session: Session, moment: datetime) -> None:
    session.execute(sa.delete(Lease).where(Lease.ended_at < moment))
