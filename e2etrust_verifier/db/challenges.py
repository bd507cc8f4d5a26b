# SPDX-License-Identifier: Apache-2.0
"""Challenges of workers of the release before, which still write a row for each."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from e2etrust_verifier.db.models import Challenge


def forget_expired(session: Session, now: datetime) -> None:
    session.execute(sa.delete(Challenge).where(Challenge.expires_at <= now))
