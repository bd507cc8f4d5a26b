# SPDX-License-Identifier: Apache-2.0
"""Endorsement keys that operators expect, by host."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from e2etrust_verifier.db.models import EkPin


def of_host(session: Session, host: str, *, lock: bool = False) -> list[EkPin]:
    found = sa.select(EkPin).where(EkPin.host == host).order_by(EkPin.ek_sha256)
    return list(session.scalars(found.with_for_update() if lock else found))


def is_of_another(session: Session, host: str, digest: str) -> bool:
    """Whether that EK (SHA-256 in hex) is expected of a host that is not *host*."""
    found = sa.select(EkPin.host).where(EkPin.ek_sha256 == digest, EkPin.host != host).limit(1)
    return session.scalars(found).first() is not None


def page(session: Session, after: str | None, limit: int) -> list[list[EkPin]]:
    """Return the pins of at most *limit* hosts behind the name *after*, a list a host."""
    names = sa.select(EkPin.host).distinct().order_by(EkPin.host).limit(limit)
    if after is not None:
        names = names.where(EkPin.host > after)
    listed = list(session.scalars(names))
    if not listed:
        return []
    of_names = EkPin.host.between(listed[0], listed[-1])
    rows = session.scalars(
        sa.select(EkPin).where(of_names).order_by(EkPin.host, EkPin.ek_sha256)
    ).all()
    by_name: dict[str, list[EkPin]] = {name: [] for name in listed}
    for row in rows:
        by_name.setdefault(row.host, []).append(row)
    return list(by_name.values())


def put(session: Session, host: str, digests: Collection[str], by: str, now: datetime) -> None:
    """Have *digests* (SHA-256 in hex), and no others, be expected of *host*."""
    remove(session, host)
    session.add_all(EkPin(host=host, ek_sha256=d, pinned_at=now, pinned_by=by) for d in digests)
    session.flush()


def remove(session: Session, host: str) -> bool:
    """Expect nothing of *host* any more; say whether anything was."""
    gone = session.execute(sa.delete(EkPin).where(EkPin.host == host))
    return bool(gone.rowcount)  # type: ignore[attr-defined]
