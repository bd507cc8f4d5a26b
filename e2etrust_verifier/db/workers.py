# SPDX-License-Identifier: Apache-2.0
"""Who works: each e2etrust-verifier says every few seconds that it is there."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from e2etrust_verifier.db import migration
from e2etrust_verifier.db.models import Worker

#: Seconds between two words of a worker, and after how many without one it counts as gone.
EVERY = 10.0
GONE_AFTER = timedelta(seconds=45)
_FORGOTTEN_AFTER = timedelta(days=1)


def seen(
    session: Session, worker: str, machine: str, now: datetime, policies: str | None = None
) -> None:
    """Note that *worker*, of this release, is there.

    :param policies: those that it has (trust.worker_policies).
    """
    row = session.get(Worker, worker)
    if row is None:
        row = Worker(id=worker, machine=machine, started_at=now)
        session.add(row)
    row.seen_at, row.policies, row.knows_schema = now, policies, migration.newest()


def gone(session: Session, worker: str) -> None:
    """Note that *worker* ends in order."""
    session.execute(sa.delete(Worker).where(Worker.id == worker))


def count_alive(session: Session, now: datetime) -> int:
    """Return how many were seen lately."""
    query = sa.select(sa.func.count()).select_from(Worker)
    return int(session.execute(query.where(Worker.seen_at > now - GONE_AFTER)).scalar_one())


def count_of_other_releases(session: Session, now: datetime) -> int:
    """Return how many were seen lately that know another schema than this release."""
    same = Worker.knows_schema == migration.newest()
    query = sa.select(sa.func.count()).select_from(Worker).where(Worker.seen_at > now - GONE_AFTER)
    others = sa.or_(Worker.knows_schema.is_(None), sa.not_(same))
    return int(session.execute(query.where(others)).scalar_one())


def policies_alive(session: Session, now: datetime) -> list[str]:
    """Return what workers that were seen lately said of their policies."""
    query = sa.select(Worker.policies).where(
        Worker.seen_at > now - GONE_AFTER, Worker.policies.is_not(None)
    )
    return [found for found in session.scalars(query) if found is not None]


def newest_moment(session: Session) -> datetime | None:
    """Return when any was seen last."""
    return session.execute(sa.select(sa.func.max(Worker.seen_at))).scalar_one()


def forget_gone(session: Session, now: datetime) -> None:
    session.execute(sa.delete(Worker).where(Worker.seen_at < now - _FORGOTTEN_AFTER))
