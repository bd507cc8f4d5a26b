# SPDX-License-Identifier: Apache-2.0
"""What was done to hosts in Nova, and whether it was us."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from e2etrust_verifier.db.models import Event, Host, Revocation


def find(session: Session, host: str) -> Revocation | None:
    """Return the row, apart from the session."""
    found = session.get(Revocation, host)
    if found is not None:
        session.expunge(found)
    return found


def everyone(session: Session) -> list[Revocation]:
    return list(session.scalars(sa.select(Revocation).order_by(Revocation.host)))


def count(session: Session) -> int:
    """Return how many hosts are acted on and not released."""
    return int(session.execute(sa.select(sa.func.count()).select_from(Revocation)).scalar_one())


def acted_since(session: Session, moment: datetime) -> set[str]:
    """Return the hosts acted on since *moment*, those released meanwhile included."""
    query = sa.select(Event.host).where(
        Event.kind == "service-disabled", Event.at > moment, Event.host.is_not(None)
    )
    return {host for host in session.scalars(query) if host is not None}


def done(session: Session, host: str) -> None:
    _change(session, host, done=True, problem="")


def forced_down(session: Session, host: str) -> None:
    _change(session, host, forced_down=True)


def disabled(session: Session, host: str, now: datetime) -> None:
    _change(session, host, disabled_at=now)


def not_ours(session: Session, host: str) -> None:
    _change(session, host, disabled=False)


def overruled(session: Session, host: str) -> None:
    _change(session, host, disabled=False, done=True, problem="")


def problem(session: Session, host: str, told: str) -> bool:
    """Note what kept the last try from its end; False where it is what it was."""
    changed = session.execute(
        sa.update(Revocation)
        .where(Revocation.host == host, Revocation.problem != told)
        .values(problem=told)
        .execution_options(synchronize_session=False)
    )
    return bool(changed.rowcount)  # type: ignore[attr-defined]


def forget(session: Session, host: str) -> None:
    session.execute(sa.delete(Revocation).where(Revocation.host == host))


def forget_unknown_hosts(session: Session) -> None:
    """Forget hosts that are enrolled no more: what Nova holds of them is the operator's."""
    session.execute(sa.delete(Revocation).where(Revocation.host.not_in(sa.select(Host.name))))


def braked(session: Session) -> bool:
    """Whether the newest word of the brake is that it holds."""
    query = sa.select(Event.kind).where(
        Event.kind.in_(("revocation-braked", "revocation-released"))
    )
    newest = session.scalars(query.order_by(Event.id.desc()).limit(1)).first()
    return newest == "revocation-braked"


def _change(session: Session, host: str, **values: object) -> None:
    session.execute(
        sa.update(Revocation)
        .where(Revocation.host == host)
        .values(**values)
        .execution_options(synchronize_session=False)
    )
