# SPDX-License-Identifier: Apache-2.0
"""Leases: written when granted, ended once."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from e2etrust_core.trust_names import LOWEST_LEVEL
from e2etrust_verifier.db import at_end
from e2etrust_verifier.db.models import HostState, Lease

#: The clocks of workers agree this well.  Evidence that came later than now, by more than that,
#: says that the clock was set back: nobody knows how old it is, and its lease counts no more.
CLOCKS_AGREE = timedelta(seconds=5)


def in_time(now: datetime) -> sa.ColumnElement[bool]:
    """Return the condition that a state's lease runs, by its end and by when it began."""
    return sa.and_(
        HostState.lease_id.is_not(None),
        HostState.lease_expires_at > now,
        sa.or_(HostState.attested_at.is_(None), HostState.attested_at <= now + CLOCKS_AGREE),
    )


# Each attestation ends one lease and writes another: made once, and past the unit of work.
_ADD = sa.insert(Lease)
_END = (
    sa.update(Lease)
    .where(Lease.id.in_(sa.bindparam("leases", expanding=True)), Lease.ended_at.is_(None))
    .values(ended_at=sa.bindparam("at"), ended=sa.bindparam("why"))
)


def add(
    session: Session, lease_id: str, host: str, granted_at: datetime, expires_at: datetime
) -> None:
    row = {"id": lease_id, "host": host, "granted_at": granted_at, "expires_at": expires_at}
    at_end.add(session, _add_all, row)


def end(session: Session, lease_id: str, why: str, now: datetime) -> None:
    """End a lease; those of one transaction, reason and second end at the latest *now* of them."""
    at_end.add(session, _end_all, (lease_id, why, now))


def _add_all(session: Session, rows: list[dict[str, Any]]) -> None:
    session.connection().execute(_ADD, rows)


def _end_all(session: Session, ended: list[tuple[str, str, datetime]]) -> None:
    together: dict[tuple[str, datetime], list[tuple[str, datetime]]] = {}
    for lease, why, now in ended:
        together.setdefault((why, now.replace(microsecond=0)), []).append((lease, now))
    for (why, _), leases in together.items():
        values = {"leases": [lease for lease, _ in leases], "at": max(now for _, now in leases)}
        session.connection().execute(_END, {**values, "why": why})


def run_out(session: Session, now: datetime) -> dict[str, int | None]:
    """Return hosts whose lease has run out and is not ended yet, with their ``policy_floor``."""
    query = sa.select(HostState.host, HostState.policy_floor).where(
        HostState.lease_id.is_not(None),
        sa.or_(HostState.lease_expires_at <= now, HostState.attested_at > now + CLOCKS_AGREE),
    )
    return {row[0]: row[1] for row in session.execute(query)}


def levels(session: Session, now: datetime, hosts: Collection[str] | None = None) -> dict[str, int]:
    """Return host -> level of the leases that hosts hold now.

    :param hosts: only of these; None: of all.
    """
    query = sa.select(HostState.host, HostState.level).where(
        in_time(now),
        HostState.held.is_(False),
        # As standing.has_lease says it: schedulers and Placement are told the same.
        HostState.failed == "[]",
    )
    if hosts is not None:
        query = query.where(HostState.host.in_(hosts))
    # A lease from before there were levels has the lowest.
    return {row[0]: max(row[1], LOWEST_LEVEL) for row in session.execute(query)}


def forget_ended_before(session: Session, moment: datetime) -> None:
    session.execute(sa.delete(Lease).where(Lease.ended_at < moment))
