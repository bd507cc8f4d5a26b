# SPDX-License-Identifier: Apache-2.0
"""What happened, for operators; each is also to be told (:mod:`.outbox`)."""

from __future__ import annotations

import logging
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from e2etrust_verifier.db import outbox
from e2etrust_verifier.db.models import Event

LOG = logging.getLogger(__name__)

_LONGEST = 2000
_LONGEST_ID = 64


def add(
    session: Session,
    kind: str,
    message: str,
    *,
    now: datetime,
    host: str | None = None,
    instance: str | None = None,
    codes: tuple[str, ...] = (),
) -> None:
    """Write an event to the database and to the log.

    *message* and *instance* may hold a host's own words.

    :param codes: those of the refusals that it is about.
    """
    line = printable(message)
    if instance is not None:
        instance = printable(instance)[:_LONGEST_ID]
    LOG.warning("event %s host=%s server=%s: %s", kind, host, instance, line)
    event = Event(at=now, kind=kind, host=host, instance=instance, message=line)
    session.add(event)
    outbox.add(session, event, codes)


def newest(
    session: Session,
    limit: int,
    kind: str | None = None,
    host: str | None = None,
    before: int | None = None,
) -> list[Event]:
    """Return up to *limit* events, newest first, those older than number *before*."""
    query = sa.select(Event).order_by(Event.id.desc()).limit(limit)
    if kind is not None:
        query = query.where(Event.kind == kind)
    if host is not None:
        query = query.where(Event.host == host)
    if before is not None:
        query = query.where(Event.id < before)
    return list(session.scalars(query))


def keep_newest(session: Session, count: int) -> None:
    """Delete all but the newest *count* of each kind: a flood of one kind hides no other."""
    for kind in session.scalars(sa.select(Event.kind).distinct()).all():
        oldest = session.scalars(
            sa.select(Event.id)
            .where(Event.kind == kind)
            .order_by(Event.id.desc())
            .offset(count)
            .limit(1)
        ).first()
        if oldest is not None:
            session.execute(sa.delete(Event).where(Event.kind == kind, Event.id <= oldest))


def printable(text: str) -> str:
    """Return *text* on one line of bounded length (CVE-2022-23949: no made-up log lines)."""
    return "".join(c if c.isprintable() else "?" for c in text[:_LONGEST])
