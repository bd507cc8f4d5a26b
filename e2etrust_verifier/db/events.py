# SPDX-License-Identifier: Apache-2.0
"""What happened, for operators; each is also to be told (:mod:`.outbox`)."""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from e2etrust_core.one_line import printable
from e2etrust_verifier.db import outbox
from e2etrust_verifier.db.models import Event
from e2etrust_verifier.notify import kinds

LOG = logging.getLogger(__name__)

#: Of each host name.
KEYS_TOLD = 16
TOLD_ONCE_IN = timedelta(minutes=1)
#: Of one kind and host within that time.
TOLD_AT_ONCE = 16

_LONGEST_ID = 64
_LEVELS = {"info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
#: Place in a session's ``info``: events that go to the log when it is committed.
_TOLD = "e2etrust events"


def add(
    session: Session,
    kind: str,
    message: str,
    *,
    now: datetime,
    host: str | None = None,
    instance: str | None = None,
    codes: tuple[str, ...] = (),
    ek_sha256: str | None = None,
) -> None:
    """Write an event to the database and, once it is committed, to the log.

    *message* and *instance* may hold a host's own words.

    :param codes: those of the refusals that it is about.
    :param ek_sha256: the endorsement key (SHA-256 in hex) that asked to enrol.
    """
    line = printable(message)
    if instance is not None:
        instance = printable(instance)[:_LONGEST_ID]
    event = Event(
        at=now, kind=kind, host=host, instance=instance, message=line, ek_sha256=ek_sha256
    )
    session.add(event)
    outbox.add(session, event, codes)
    told = session.info.setdefault(_TOLD, [])
    if not told:
        sa.event.listen(session, "after_commit", _log, once=True)
    told.append((_LEVELS[kinds.kind(kind).priority], kind, host, instance, line))


def _log(session: Session) -> None:
    for level, *told in session.info.pop(_TOLD):
        LOG.log(level, "event %s host=%s server=%s: %s", *told)


def add_refused(
    session: Session,
    kind: str,
    message: str,
    *,
    now: datetime,
    host: str,
    codes: tuple[str, ...] = (),
    ek_sha256: str | None = None,
) -> None:
    """Do what :func:`add` does, unless the same was told of *host* within :data:`TOLD_ONCE_IN`.

    Whoever may write to the message bus can send nonsense in a host's name as often as he likes,
    other nonsense each time: what is beyond :data:`TOLD_AT_ONCE` in that time is told of as a
    whole.
    """
    lately = sa.select(Event.message).where(
        Event.kind == kind, Event.host == host, Event.at.between(now - TOLD_ONCE_IN, now)
    )
    told = set(session.scalars(lately.limit(TOLD_AT_ONCE + 1)))
    if printable(message) in told or len(told) > TOLD_AT_ONCE:
        return
    if len(told) == TOLD_AT_ONCE:
        message = f"more than {TOLD_AT_ONCE} refusals within a minute: the others are not told"
        codes, ek_sha256 = (), None
    add(session, kind, message, now=now, host=host, codes=codes, ek_sha256=ek_sha256)


def keys_refused(session: Session, hosts: Collection[str]) -> dict[str, list[str]]:
    """Return the endorsement keys (SHA-256 in hex) that were refused under these names.

    The last to ask comes first; of each name at most :data:`KEYS_TOLD`.
    """
    last = sa.func.max(Event.id)
    query = (
        sa.select(Event.host, Event.ek_sha256)
        .where(
            Event.kind == "enrolment-refused", Event.host.in_(hosts), Event.ek_sha256.is_not(None)
        )
        .group_by(Event.host, Event.ek_sha256)
        .order_by(last.desc())
    )
    found: dict[str, list[str]] = {}
    for host, key in session.execute(query):
        if len(keys := found.setdefault(host, [])) < KEYS_TOLD:
            keys.append(key)
    return found


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
