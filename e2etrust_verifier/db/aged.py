# SPDX-License-Identifier: Apache-2.0
"""Rows that are history and older than a moment: found in pieces, and deleted by their keys.

What counts now is no history: launches that run, the newest verdict and evidence of an enrolled
host, and verdicts of one that fails, which say since when.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from e2etrust_verifier.db.launches import LIVE
from e2etrust_verifier.db.models import (
    Base,
    Challenge,
    Enrolment,
    Event,
    Evidence,
    Host,
    HostState,
    Launch,
    Lease,
    Refusal,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A table with the condition that a row of it is history and older than a moment."""

    table: type[Base]
    old: Callable[[datetime], sa.ColumnElement[bool]]

    @property
    def name(self) -> str:
        return self.table.__tablename__

    @property
    def key(self) -> Any:
        return sa.inspect(self.table).primary_key[0]


def _is_newer_of_host(table: type[Verdict] | type[Evidence]) -> sa.ColumnElement[bool]:
    """There is a newer row of the same host, or the host is not enrolled any more."""
    newer: Any = aliased(table)
    return sa.or_(
        sa.exists().where(newer.host == table.host, newer.id > table.id),
        ~sa.exists().where(Host.name == table.host),
    )


_FAILS = sa.exists().where(
    HostState.host == Verdict.host, HostState.failed != "[]", Host.name == Verdict.host
)
KINDS = (
    Kind(Event, lambda at: Event.at < at),
    Kind(Verdict, lambda at: sa.and_(Verdict.at < at, _is_newer_of_host(Verdict), ~_FAILS)),
    Kind(Evidence, lambda at: sa.and_(Evidence.at < at, _is_newer_of_host(Evidence))),
    Kind(Refusal, lambda at: Refusal.at < at),
    Kind(Launch, lambda at: sa.and_(Launch.ended_at < at, Launch.state.not_in(LIVE))),
    Kind(Lease, lambda at: Lease.ended_at < at),
    Kind(Enrolment, lambda at: Enrolment.expires_at < at),
    Kind(Challenge, lambda at: Challenge.expires_at < at),
)


def count(session: Session, kind: Kind, moment: datetime) -> int:
    query = sa.select(sa.func.count()).select_from(kind.table).where(kind.old(moment))
    return int(session.execute(query).scalar_one())


def keys(
    session: Session, kind: Kind, moment: datetime, after: Any | None, limit: int
) -> list[Any]:
    """Return the keys of up to *limit* rows in their order, those behind *after*."""
    query = sa.select(kind.key).where(kind.old(moment)).order_by(kind.key).limit(limit)
    return list(session.scalars(query if after is None else query.where(kind.key > after)))


def rows(session: Session, kind: Kind, keys: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the rows with these keys by column, those of a verdict with its checks."""
    found = session.scalars(sa.select(kind.table).where(kind.key.in_(keys)).order_by(kind.key))
    return [_told(row) for row in found]


def _told(row: Base) -> dict[str, Any]:
    told = {one.key: getattr(row, one.key) for one in sa.inspect(type(row)).column_attrs}
    if isinstance(row, Verdict):
        told["checks"] = [_told(check) for check in row.checks]
    return told


def delete(session: Session, kind: Kind, keys: Sequence[Any]) -> int:
    """Delete the rows with these keys, a verdict's checks with it; return how many there were."""
    gone = session.execute(sa.delete(kind.table).where(kind.key.in_(keys)))
    return int(gone.rowcount)  # type: ignore[attr-defined]
