# SPDX-License-Identifier: Apache-2.0
"""Work that one worker at a time does."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from e2etrust_verifier.db.models import Duty


def take(session: Session, name: str, holder: str, now: datetime, until: datetime) -> bool:
    """Take the duty, or keep it, *until* then; False where another worker has it.

    Its row is there from the first migration on, so one UPDATE decides.
    """
    taken = session.execute(
        sa.update(Duty)
        .where(Duty.name == name, sa.or_(Duty.holder == holder, Duty.until <= now))
        .values(holder=holder, until=until)
        .execution_options(synchronize_session=False)
    )
    return bool(taken.rowcount == 1)  # type: ignore[attr-defined]
