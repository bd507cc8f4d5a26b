# SPDX-License-Identifier: Apache-2.0
"""Keys that challenges are authenticated by, shared by all workers."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from e2etrust_verifier.db.models import ChallengeKey


def everyone(session: Session) -> list[ChallengeKey]:
    return list(session.scalars(sa.select(ChallengeKey)))


def add(session: Session, key_id: str, secret: bytes, now: datetime) -> None:
    session.add(ChallengeKey(id=key_id, secret=secret, made_at=now))


def close_until(session: Session, moment: datetime) -> None:
    """Let no nonce that runs out by *moment* count any more, whatever a clock says later."""
    later = sa.or_(ChallengeKey.closed_until.is_(None), ChallengeKey.closed_until < moment)
    session.execute(sa.update(ChallengeKey).where(later).values(closed_until=moment))


def forget_made_before(session: Session, moment: datetime) -> None:
    session.execute(sa.delete(ChallengeKey).where(ChallengeKey.made_at < moment))
