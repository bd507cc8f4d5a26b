# SPDX-License-Identifier: Apache-2.0
"""Granted starts of servers."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session, defer, load_only

from e2etrust_verifier.db.models import Launch

#: States of a launch whose server may be running.
LIVE = ("granted", "started")

# Asked for at each attestation: made once, and no wider than needed.
_OF_HOSTS = (
    sa.select(Launch)
    .options(load_only(Launch.instance, Launch.host, Launch.granted_at, Launch.ended_at))
    .where(
        Launch.host.in_(sa.bindparam("on_hosts", expanding=True)),
        sa.or_(Launch.ended_at.is_(None), Launch.ended_at >= sa.bindparam("since")),
    )
)


def add(session: Session, launch: Launch) -> None:
    session.add(launch)


def find(session: Session, launch_id: str) -> Launch | None:
    return session.get(Launch, launch_id, options=[defer(Launch.record)], with_for_update=True)


def of_host(session: Session, host: str, since: datetime) -> list[Launch]:
    """Return launches on *host* that were live at *since* or later, without what they are of."""
    return of_hosts(session, [(host, since)])[0]


def of_hosts(session: Session, asked: list[tuple[str, datetime]]) -> list[list[Launch]]:
    """Do what :func:`of_host` does for several hosts and moments."""
    names, oldest = {host for host, _ in asked}, min(since for _, since in asked)
    found: dict[str, list[Launch]] = {}
    for launch in session.scalars(_OF_HOSTS, {"on_hosts": list(names), "since": oldest}):
        found.setdefault(launch.host, []).append(launch)
    return [
        [row for row in found.get(host, []) if row.ended_at is None or row.ended_at >= since]
        for host, since in asked
    ]


def of_instance(session: Session, instance: str) -> list[Launch]:
    """Return launches of a server, newest first."""
    query = sa.select(Launch).where(Launch.instance == instance).order_by(Launch.granted_at.desc())
    return list(session.scalars(query))


def current(session: Session, instance: str) -> Launch | None:
    """Return the newest launch of a server that may be running."""
    query = (
        sa.select(Launch)
        .where(Launch.instance == instance, Launch.state.in_(LIVE))
        .order_by(Launch.granted_at.desc())
        .limit(1)
    )
    return session.scalars(query).first()


def count_started(session: Session) -> int:
    """Return how many servers run under a launch."""
    query = sa.select(sa.func.count()).select_from(Launch).where(Launch.state == "started")
    return int(session.execute(query).scalar_one())


def project_of(session: Session, instance: str) -> str | None:
    """Return the project that the newest launch of a server names."""
    query = (
        sa.select(Launch.project)
        .where(Launch.instance == instance, Launch.project.is_not(None))
        .order_by(Launch.granted_at.desc())
        .limit(1)
    )
    return session.scalars(query).first()


def keep_newest(session: Session, count: int) -> None:
    """Delete ended launches of each server beyond the newest *count*."""
    crowded = (
        sa.select(Launch.instance)
        .where(Launch.state.not_in(LIVE))
        .group_by(Launch.instance)
        .having(sa.func.count() > count)
    )
    for instance in session.scalars(crowded).all():
        surplus = session.scalars(
            sa.select(Launch.id)
            .where(Launch.instance == instance, Launch.state.not_in(LIVE))
            .order_by(Launch.granted_at.desc())
            .offset(count)
        ).all()
        session.execute(sa.delete(Launch).where(Launch.id.in_(surplus)))
