# SPDX-License-Identifier: Apache-2.0
"""Nonces: drawn, used once, gone."""

from __future__ import annotations

import hashlib
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from e2etrust_verifier.db.models import Challenge

#: Challenges one host may have open; an older one gives way.  Anybody on the message bus can ask
#: for one: to push out the host's own before it answers takes this many calls in the time of one
#: quote (a tenth of a second), far more than a verifier serves.
OPEN_PER_HOST = 4096


def digest(nonce: bytes) -> str:
    return hashlib.sha256(nonce).hexdigest()


def add(session: Session, challenge: Challenge) -> None:
    session.add(challenge)
    session.flush()
    surplus = session.scalars(
        sa.select(Challenge.nonce_sha256)
        .where(Challenge.host == challenge.host)
        .order_by(Challenge.issued_at.desc())
        .offset(OPEN_PER_HOST)
    ).all()
    if surplus:
        session.execute(sa.delete(Challenge).where(Challenge.nonce_sha256.in_(surplus)))


def find(
    session: Session, nonce: bytes, host: str, purpose: str, now: datetime
) -> Challenge | None:
    """Return the open challenge of *nonce*, and leave it open; None where it is not good."""
    return session.scalars(
        sa.select(Challenge).where(*_open(digest(nonce), host, purpose, now))
    ).first()


def use(session: Session, challenge: Challenge, now: datetime) -> bool:
    """Use an open *challenge* up; False where it is not good (any more).

    One UPDATE decides, so of two workers with the same nonce one gets it.
    """
    taken = session.execute(
        sa.update(Challenge)
        .where(*_open(challenge.nonce_sha256, challenge.host, challenge.purpose, now))
        .values(used=1)
        .execution_options(synchronize_session=False)
    )
    return bool(taken.rowcount == 1)  # type: ignore[attr-defined]


def _open(key: str, host: str, purpose: str, now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        Challenge.nonce_sha256 == key,
        Challenge.host == host,
        Challenge.purpose == purpose,
        Challenge.used == 0,
        Challenge.expires_at > now,
    )


def count_open(session: Session, now: datetime) -> int:
    """Return how many challenges wait for their answer."""
    query = sa.select(sa.func.count()).select_from(Challenge)
    waiting = query.where(Challenge.used == 0, Challenge.expires_at > now)
    return int(session.execute(waiting).scalar_one())


def forget_expired(session: Session, now: datetime) -> None:
    session.execute(sa.delete(Challenge).where(Challenge.expires_at <= now))
