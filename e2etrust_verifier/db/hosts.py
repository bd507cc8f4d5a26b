# SPDX-License-Identifier: Apache-2.0
"""Hosts' immutable records, and what holds of each host now."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import Session, aliased, defer, load_only

from e2etrust_core.evidence.tpm_structures import ek_sha256
from e2etrust_verifier.db import at_end
from e2etrust_verifier.db.models import Generation, Host, HostState

# What each attestation asks for: made once, and no wider than needed.  Reading a column's name and
# type costs PyMySQL more than its value.
_FIND = sa.select(Host).where(Host.name.in_(sa.bindparam("names", expanding=True)))
_STATES_OF_ENROLLED = (
    sa.select(Host.name, HostState)
    .options(
        load_only(
            HostState.lease_id,
            HostState.lease_expires_at,
            HostState.held,
            HostState.failed,
            HostState.attested_at,
            HostState.clock,
            HostState.reset_count,
            HostState.restart_count,
            HostState.ima,
            HostState.policy_floor,
            raiseload=True,
        )
    )
    .join(HostState, HostState.host == Host.name, isouter=True)
    .where(Host.name.in_(sa.bindparam("names", expanding=True)))
)
_LOCK = (
    sa.select(HostState)
    .where(HostState.host == sa.bindparam("name"))
    .with_for_update()
    .execution_options(populate_existing=True)
)
# A locking read sees what is committed now, whatever its transaction saw before.
_LOCK_WITH_RECORDS = (
    sa.select(HostState, Host.ak_name, Host.enrolled_at)
    .join(Host, Host.name == HostState.host)
    .where(HostState.host.in_(sa.bindparam("names", expanding=True)))
    # In one order, whoever locks several.
    .order_by(HostState.host)
    .with_for_update()
    .execution_options(populate_existing=True)
)
_LOCK_RECORD = (
    sa.select(Host.ak_name, Host.enrolled_at)
    .where(Host.name == sa.bindparam("name"))
    .with_for_update()
)
_NEXT = Generation.value + 1
_HIGHER = sa.case((sa.bindparam("clock") > _NEXT, sa.bindparam("clock")), else_=_NEXT)
_COUNT_UP = sa.update(Generation).values(value=_HIGHER).returning(Generation.value)
# MariaDB's UPDATE returns nothing but this.
_COUNT_UP_MYSQL = sa.update(Generation).values(value=sa.func.last_insert_id(_HIGHER))
_COLUMNS = sa.inspect(HostState).columns.keys()
_INSERT = mysql.insert(HostState)
_UPSERT = _INSERT.on_duplicate_key_update({name: _INSERT.inserted[name] for name in _COLUMNS[1:]})
# As text: ON DUPLICATE KEY UPDATE is compiled anew each time it is executed, and a text is not.
_PUT = sa.text(str(_UPSERT.compile(dialect=mysql.dialect(paramstyle="named")))).bindparams(
    *(sa.bindparam(column.name, type_=column.type) for column in sa.inspect(HostState).columns)
)
#: Place in a session's ``info``: what it locked of hosts, by name.
_LOCKED = "e2etrust locked"


class LeaseRow(NamedTuple):
    """Of a :class:`.models.HostState` what its lease hangs on."""

    host: str
    lease_id: str | None
    lease_expires_at: datetime | None
    held: bool
    failed: str
    level: int
    attested_at: datetime | None


def find(session: Session, name: str) -> Host | None:
    return find_several(session, [name]).get(name)


def find_several(session: Session, names: Iterable[str]) -> dict[str, Host]:
    """Return those that are enrolled, by name."""
    return {host.name: host for host in session.scalars(_FIND, {"names": list(set(names))})}


def states_of_enrolled(session: Session, names: Iterable[str]) -> dict[str, HostState | None]:
    """Return the states of those that are enrolled, by name; record and state of one moment.

    Of a state only what a challenge hangs on is read.
    """
    found = session.execute(_STATES_OF_ENROLLED, {"names": list(set(names))})
    return {row[0]: row[1] for row in found}


def is_enrolled(session: Session, ek_public: bytes) -> bool:
    """Whether a host has that endorsement key (TPMT_PUBLIC)."""
    # Records without a digest are few.
    digest = sa.or_(Host.ek_sha256 == ek_sha256(ek_public), Host.ek_sha256.is_(None))
    query = sa.select(Host.name).where(digest, Host.ek_public == ek_public).limit(1)
    return session.scalars(query).first() is not None


def with_shared_keys(session: Session) -> list[str]:
    """Return the hosts whose endorsement key an older record has too, by name."""
    older = aliased(Host)
    same = sa.and_(
        older.ek_public == Host.ek_public,
        sa.or_(older.ek_sha256.is_not(None), older.name < Host.name),
    )
    query = sa.select(Host.name).where(Host.ek_sha256.is_(None), sa.exists().where(same))
    return list(session.scalars(query.order_by(Host.name)))


def everyone(session: Session) -> list[Host]:
    return list(session.scalars(sa.select(Host).order_by(Host.name)))


def with_other_suites(session: Session, known: Iterable[str]) -> list[Host]:
    """Return the hosts whose suite is none of *known*."""
    return list(session.scalars(sa.select(Host).where(Host.suite.not_in(known))))


def names(session: Session) -> list[str]:
    return list(session.scalars(sa.select(Host.name).order_by(Host.name)))


def page(session: Session, after: str | None, limit: int) -> list[Host]:
    """Return up to *limit* hosts by name, those behind the name *after*."""
    query = sa.select(Host).order_by(Host.name).limit(limit)
    return list(session.scalars(query if after is None else query.where(Host.name > after)))


def page_of_states(
    session: Session, after: str | None, limit: int, *where: sa.ColumnElement[bool]
) -> list[HostState]:
    """Return the states of up to *limit* enrolled hosts by name, those behind the name *after*.

    States are gone through and not records, which hold certificates; how far their IMA lists were
    good is not read.

    :param where: conditions on states.
    """
    query = (
        sa.select(HostState)
        .options(defer(HostState.ima, raiseload=True))
        .join(Host, Host.name == HostState.host)
        .where(*where)
        .order_by(HostState.host)
        .limit(limit)
    )
    return list(session.scalars(query if after is None else query.where(HostState.host > after)))


def name_like(asked: str) -> sa.ColumnElement[bool]:
    """Return the condition that a host's name has *asked* in it, in large or small letters.

    With ``*`` (anything) or ``?`` (any one letter), which no name has, *asked* is all of the name.
    """
    name, asked = sa.func.lower(HostState.host), asked.lower()
    if not set("*?") & set(asked):
        return name.contains(asked, autoescape=True)
    plain = asked.replace("/", "//").replace("%", "/%").replace("_", "/_")
    return name.like(plain.replace("*", "%").replace("?", "_"), escape="/")


class Attested(NamedTuple):
    """How many states some condition holds of, and when the first and the last of all attested."""

    number: int
    oldest: datetime | None
    newest: datetime | None


def attested(session: Session, of: sa.ColumnElement[bool]) -> Attested:
    """Count the states *of* which that holds, in the same pass as the moments of all.

    Who was removed has a state without lease, failure or hold: it counts for no attestation that
    is long ago.
    """
    removed = sa.and_(
        HostState.lease_id.is_(None), HostState.held.is_(False), HostState.failed == "[]"
    )
    number = sa.func.sum(sa.case((of, 1), else_=0))
    oldest = sa.func.min(sa.case((removed, None), else_=HostState.attested_at))
    query = sa.select(number, oldest, sa.func.max(HostState.attested_at))
    found = session.execute(query).one()
    return Attested(int(found[0] or 0), found[1], found[2])


class Tally(NamedTuple):
    """States with the same ``code`` and ``policy``: how many, how many of them are held, since when
    the first and the last of them stands so; ``example`` is one of their hosts."""

    code: str | None
    policy: str | None
    hosts: int
    held: int
    since: datetime
    latest: datetime
    example: str


def tally(session: Session, where: sa.ColumnElement[bool]) -> list[Tally]:
    """Count the states of which *where* holds by code and policy; those of most hosts first."""
    number = sa.func.count()
    held = sa.func.sum(sa.case((HostState.held.is_(True), 1), else_=0))
    since = sa.func.min(HostState.since), sa.func.max(HostState.since)
    by = HostState.code, HostState.policy
    query = sa.select(*by, number, held, *since, sa.func.min(HostState.host)).where(where)
    rows = session.execute(query.group_by(*by).order_by(number.desc(), *by))
    return [Tally(r[0], r[1], r[2], int(r[3]), r[4], r[5], r[6]) for r in rows]


def count(session: Session) -> int:
    """Return how many hosts are enrolled."""
    return int(session.execute(sa.select(sa.func.count()).select_from(Host)).scalar_one())


def failed_states(session: Session) -> list[HostState]:
    """Return the states of enrolled hosts that failed last, by name."""
    query = sa.select(HostState).join(Host, HostState.host == Host.name)
    return list(session.scalars(query.where(HostState.failed != "[]").order_by(HostState.host)))


def pinning_no_keys(session: Session) -> list[str]:
    """Return the enrolled hosts that attested and said that any answer is good to them."""
    query = sa.select(Host.name).join(HostState, HostState.host == Host.name)
    query = query.where(HostState.pins_verifier.is_(False)).order_by(Host.name)
    return list(session.scalars(query))


def policy_floors(session: Session) -> dict[str, int]:
    """Return the highest version that hosts were judged by, of those that were by any."""
    query = sa.select(HostState.host, HostState.policy_floor)
    rows = session.execute(query.where(HostState.policy_floor.is_not(None)))
    return {row[0]: row[1] for row in rows}


def lower_policy_floors(session: Session, names: Collection[str], version: int | None) -> None:
    """Forget that these hosts were judged by anything newer than *version*."""
    rows = [{"host": name, "policy_floor": version} for name in names]
    if rows:
        session.execute(sa.update(HostState), rows)


def add(session: Session, host: Host, *, held: bool, now: datetime) -> None:
    """Write the record.  Raises DBDuplicateEntry at commit where the name is taken."""
    session.add(host)
    session.flush()
    state = lock_state(session, host.name, now)
    state.held = held
    state.failed = "[]"
    # What was known of another TPM under that name is nothing to measure this one by.
    state.clock = state.reset_count = state.restart_count = None
    state.ima = state.attested_at = state.policy = None
    state.said = state.said_at = state.pins_verifier = None
    touch(session, state)


def remove(session: Session, name: str) -> bool:
    """Forget who the host is; its state stays, for schedulers to hear that it is untrusted."""
    return bool(session.execute(sa.delete(Host).where(Host.name == name)).rowcount)  # type: ignore[attr-defined]


def state(session: Session, name: str) -> HostState | None:
    return session.get(HostState, name)


def several_states(session: Session, names: Iterable[str]) -> dict[str, HostState]:
    """Return the states of these hosts, by name, without how far their IMA lists were good."""
    query = sa.select(HostState).options(defer(HostState.ima, raiseload=True))
    return {s.host: s for s in session.scalars(query.where(HostState.host.in_(list(names))))}


def states(session: Session) -> dict[str, HostState]:
    return {s.host: s for s in session.scalars(sa.select(HostState))}


def lock_state(session: Session, name: str, now: datetime) -> HostState:
    """Return the host's state, held against other workers until the transaction ends."""
    found = session.scalars(_LOCK, {"name": name}).first()
    if found is None:
        found = HostState(host=name, generation=0, held=False, since=now, failed="[]")
        session.add(found)
    return found


def lock_state_of(session: Session, record: Host, now: datetime) -> HostState | None:
    """Return what :func:`lock_state` does, while *record* is still who the host is.

    None: the host was removed since the record was read, or enrolled anew.
    """
    if record.name not in session.info.get(_LOCKED, {}):
        lock_with_records(session, [record.name])
    found = session.info[_LOCKED].get(record.name)
    if found is not None:
        return found.state if found.is_of(record) else None
    known = session.execute(_LOCK_RECORD, {"name": record.name}).first()
    if known is None or not _Locked(None, *known).is_of(record):
        return None
    return lock_state(session, record.name, now)


def lock_with_records(session: Session, names: list[str]) -> None:
    """Lock several hosts at once, those that have a state, for :func:`lock_state_of`."""
    rows = session.execute(_LOCK_WITH_RECORDS, {"names": names})
    session.info.setdefault(_LOCKED, {}).update((row[0].host, _Locked(*row)) for row in rows)


@dataclass(frozen=True, slots=True)
class _Locked:
    """A host's state, and by what its record is known again."""

    state: HostState | None
    ak_name: bytes
    enrolled_at: datetime

    def is_of(self, record: Host) -> bool:
        return (self.ak_name, self.enrolled_at) == (record.ak_name, record.enrolled_at)


def touch(session: Session, state: HostState) -> None:
    """Note that *state* changed, under the next number of the one counter.

    The counter's row stays locked from the transaction's end until its commit, so changes become
    visible in the order of their numbers, and nobody who asks for what came after one can miss any.
    What one transaction changes has one number.

    Numbers are the clock's milliseconds, or more: one that was given before the database was
    restored from a backup is not given again, to something that whoever has it would miss.
    """
    at_end.add(session, _write_touched, state)


def _write_touched(session: Session, touched: list[HostState]) -> None:
    # Past the unit of work, so that all that is pending is flushed once.
    connection = session.connection()
    number = _count_up(connection)
    for state in touched:
        state.generation = number
    known = [state for state in dict.fromkeys(touched) if state in session.dirty]
    if len(known) > 1 and connection.dialect.name in ("mysql", "mariadb"):
        # The unit of work would write one after the other there.
        connection.execute(_PUT, [{name: getattr(s, name) for name in _COLUMNS} for s in known])
        for state in known:
            session.expunge(state)


def _count_up(connection: sa.Connection) -> int:
    """Return the next number of the counter, whose row is locked from now on."""
    clock = {"clock": time.time_ns() // 1_000_000}
    if connection.dialect.update_returning:
        return int(connection.execute(_COUNT_UP, clock).scalar_one())
    return int(connection.execute(_COUNT_UP_MYSQL, clock).lastrowid)


def counter(session: Session) -> tuple[int, int]:
    """Return (first, last): the range of change numbers this database knows."""
    row = session.execute(sa.select(Generation.first, Generation.value)).one()
    return row[0], row[1]


def changed_since(session: Session, since: int) -> list[LeaseRow]:
    """Return what schedulers are told of: rows, since whole states cost twice as much to make."""
    columns = [getattr(HostState, name) for name in LeaseRow._fields]
    query = sa.select(*columns).where(HostState.generation > since)
    return list(map(LeaseRow._make, session.execute(query)))
