# SPDX-License-Identifier: Apache-2.0
"""What has to be told: written with the change, handed out, claimed, told at least once.

A row is written without a destination, by whichever process makes the change.  A worker that
delivers replaces it by one row for each destination that its configuration names.  A worker that
dies leaves its claims behind, and they run out.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from e2etrust_verifier.db.models import Event, Outbox

#: Where a row is that nobody has handed out yet.
UNSORTED = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many rows wait for a destination, and since when the oldest one does."""

    number: int
    oldest: datetime


def add(session: Session, event: Event, codes: tuple[str, ...] = ()) -> None:
    """Have *event* told, if the transaction it is written in holds."""
    session.add(
        Outbox(
            number=str(uuid.uuid4()),
            destination=UNSORTED,
            at=event.at,
            kind=event.kind,
            host=event.host,
            instance=event.instance,
            message=event.message,
            codes=" ".join(codes),
            attempts=0,
            due_at=event.at,
            claimed_until=event.at,
            claimed_by="",
        )
    )


def hand_out(
    session: Session, unwanted: Mapping[str, frozenset[str]], now: datetime, limit: int
) -> int:
    """Replace up to *limit* unsorted rows by one for each destination; return how many.

    :param unwanted: destination -> the kinds of event that it is not told.
    """
    taken = 0
    for row in session.scalars(
        sa.select(Outbox).where(Outbox.destination == UNSORTED).order_by(Outbox.id).limit(limit)
    ).all():
        session.expunge(row)
        # Of two workers that found the same row one deletes it.
        gone = session.execute(
            sa.delete(Outbox).where(Outbox.id == row.id, Outbox.destination == UNSORTED)
        )
        if gone.rowcount != 1:  # type: ignore[attr-defined]
            continue
        taken += 1
        session.add_all(
            _copy(row, name, now) for name, kinds in unwanted.items() if row.kind not in kinds
        )
    session.flush()
    return taken


def _copy(row: Outbox, destination: str, now: datetime) -> Outbox:
    return Outbox(
        number=row.number,
        destination=destination,
        at=row.at,
        kind=row.kind,
        host=row.host,
        instance=row.instance,
        message=row.message,
        codes=row.codes,
        attempts=0,
        due_at=now,
        claimed_until=now,
        claimed_by="",
    )


def claim(
    session: Session, destination: str, holder: str, now: datetime, until: datetime, limit: int
) -> list[Outbox]:
    """Return up to *limit* rows that are due, the oldest first; they are *holder*'s *until* then.

    Rows are found without locks and taken one UPDATE each, by their key: whoever writes new ones
    meanwhile does not wait.
    """
    query = (
        sa.select(Outbox)
        .where(Outbox.destination == destination, Outbox.due_at <= now, Outbox.claimed_until <= now)
        .order_by(Outbox.id)
        .limit(limit)
    )
    found = session.scalars(query).all()
    return [row for row in found if _take(session, row, holder, now, until)]


def _take(session: Session, row: Outbox, holder: str, now: datetime, until: datetime) -> bool:
    session.expunge(row)
    taken = session.execute(
        sa.update(Outbox)
        .where(Outbox.id == row.id, Outbox.claimed_until <= now)
        .values(claimed_until=until, claimed_by=holder)
        .execution_options(synchronize_session=False)
    )
    return bool(taken.rowcount == 1)  # type: ignore[attr-defined]


def forget(session: Session, number: int, holder: str) -> bool:
    """Delete what *holder* told; False where it is no longer the holder's."""
    gone = session.execute(
        sa.delete(Outbox).where(Outbox.id == number, Outbox.claimed_by == holder)
    )
    return bool(gone.rowcount)  # type: ignore[attr-defined]


def put_back(
    session: Session, number: int, holder: str, now: datetime, due: datetime, attempts: int
) -> None:
    """Let it be claimed again from *due* on."""
    session.execute(
        sa.update(Outbox)
        .where(Outbox.id == number, Outbox.claimed_by == holder)
        .values(claimed_until=now, claimed_by="", due_at=due, attempts=attempts)
        .execution_options(synchronize_session=False)
    )


def waiting(session: Session) -> dict[str, Waiting]:
    """Return what waits, by destination."""
    query = sa.select(Outbox.destination, sa.func.count(), sa.func.min(Outbox.at)).group_by(
        Outbox.destination
    )
    return {row[0]: Waiting(row[1], row[2]) for row in session.execute(query)}


def keep_newest(session: Session, count: int) -> dict[str, int]:
    """Delete all but the newest *count* of each destination and kind; return how many of which.

    A flood of one kind, which whoever writes to the message bus can make, drops no other.
    """
    dropped: Counter[str] = Counter()
    pairs = session.execute(sa.select(Outbox.destination, Outbox.kind).distinct()).all()
    for destination, kind in pairs:
        of_these = (Outbox.destination == destination, Outbox.kind == kind)
        newest_of_old = session.scalars(
            sa.select(Outbox.id).where(*of_these).order_by(Outbox.id.desc()).offset(count).limit(1)
        ).first()
        if newest_of_old is not None:
            dropped[kind] += _delete(session, *of_these, Outbox.id <= newest_of_old)
    return dict(dropped)


def forget_older(session: Session, moment: datetime) -> dict[str, int]:
    """Delete what was to be told before *moment*; return how many of which kind.

    So ends what waits for a destination that no worker has any more.
    """
    old = Outbox.at < moment
    kinds = session.scalars(sa.select(Outbox.kind).where(old).distinct()).all()
    return {kind: _delete(session, old, Outbox.kind == kind) for kind in kinds}


def _delete(session: Session, *where: sa.ColumnElement[bool]) -> int:
    return int(session.execute(sa.delete(Outbox).where(*where)).rowcount)  # type: ignore[attr-defined]
