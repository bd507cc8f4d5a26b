# SPDX-License-Identifier: Apache-2.0
"""The highest version of each policy that was ever applied."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from e2etrust_verifier.db.models import PolicyVersion

# Asked for at each challenge: made once.
_FIND = sa.select(PolicyVersion).where(
    PolicyVersion.name.in_(sa.bindparam("policies", expanding=True))
)


def find(session: Session, name: str) -> PolicyVersion | None:
    return find_several(session, [name]).get(name)


def find_several(session: Session, names: Iterable[str]) -> dict[str, PolicyVersion]:
    """Return those that are known, by name."""
    found = session.scalars(_FIND, {"policies": list(set(names))})
    return {version.name: version for version in found}


def everyone(session: Session) -> list[PolicyVersion]:
    return list(session.scalars(sa.select(PolicyVersion).order_by(PolicyVersion.name)))


def add(session: Session, name: str, version: int, edition: str, now: datetime) -> None:
    """:raises DBDuplicateEntry: another worker was faster."""
    session.add(PolicyVersion(name=name, version=version, edition=edition, since=now))
    session.flush()


def put(session: Session, name: str, version: int, edition: str, now: datetime) -> None:
    """Have that be the one that counts, whatever did before."""
    found = session.get(PolicyVersion, name, with_for_update=True)
    if found is None:
        add(session, name, version, edition, now)
    else:
        found.version, found.edition, found.since = version, edition, now


def remove(session: Session, name: str) -> None:
    session.execute(sa.delete(PolicyVersion).where(PolicyVersion.name == name))


def climb(session: Session, name: str, version: int, edition: str, now: datetime) -> bool:
    """Go up to *version*; False where another worker went as high meanwhile."""
    climbed = session.execute(
        sa.update(PolicyVersion)
        .where(PolicyVersion.name == name, PolicyVersion.version < version)
        .values(version=version, edition=edition, since=now)
    )
    return bool(climbed.rowcount)  # type: ignore[attr-defined]
