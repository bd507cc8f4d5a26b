# SPDX-License-Identifier: Apache-2.0
"""Transactions: work as a function over a session, tried again where the database asks for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy as sa
import tenacity
from oslo_config import cfg
from oslo_db import exception as db_exc
from oslo_db.sqlalchemy import enginefacade
from sqlalchemy.orm import Session

from e2etrust_verifier.db import at_end, failover, galera, group_commit, group_read
from e2etrust_verifier.db.group_commit import RETRIED, HostWork
from e2etrust_verifier.db.group_read import Load
from e2etrust_verifier.db.models import Generation

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")

#: A try to connect may take long.  One that met another transaction is over soon, and where
#: workers write to several nodes of a Galera cluster each may meet many.
_TRIES_TO_CONNECT, _TRIES = 5, 20


def _tried_enough(state: tenacity.RetryCallState) -> bool:
    failed = state.outcome.exception() if state.outcome is not None else None
    most = _TRIES_TO_CONNECT if isinstance(failed, db_exc.DBConnectionError) else _TRIES
    return state.attempt_number >= most


_RETRYING = tenacity.Retrying(
    retry=tenacity.retry_if_exception_type(RETRIED),
    stop=_tried_enough,
    wait=tenacity.wait_random_exponential(multiplier=0.05, max=1.0),
    reraise=True,
)


@enginefacade.transaction_context_provider
class _Context:
    """One transaction's place in oslo.db; never shared between threads."""


class Database:
    """The verifier's database, as [database] in *conf* names it."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._manager = enginefacade.transaction_context()
        self._manager.configure(**{**dict(conf.database.items()), "sqlite_fk": True})
        if conf.database.mysql_wsrep_sync_wait is None:
            self._manager.append_on_engine_create(galera.watch)
        self._manager.append_on_engine_create(_prepare)

    def read(self, work: Callable[[Session], T]) -> T:
        """Return what *work* finds in one snapshot."""
        return self._run(self._manager.reader, work, writing=False)

    def write(self, work: Callable[[Session], T]) -> T:
        """Run *work* in one transaction and return its result; all or nothing.

        *work* may be run again after a deadlock or a lost connection: it must not do anything
        but database work.
        """
        return self._run(self._manager.writer, work, writing=True)

    def read_each(self, load: Load[K, V], keys: list[K]) -> list[V | Exception]:
        """Return what *load* finds for each of *keys*, in one snapshot, or what it failed with."""
        return group_read.find(self.read, load, keys)

    def write_each(self, group: list[HostWork[T]]) -> list[T | Exception]:
        """Do what :meth:`write` does for each of *group*, in as few transactions as can be.

        The failure of one is its own.
        """
        return group_commit.commit(self.write, group)

    @property
    def engine(self) -> sa.Engine:
        return self._manager.writer.get_engine()

    def dispose(self) -> None:
        """Close all pooled connections."""
        self._manager.dispose_pool()

    def _run(self, role: Any, work: Callable[[Session], T], *, writing: bool) -> T:
        return _RETRYING(self._once, role, work, writing)

    def _once(self, role: Any, work: Callable[[Session], T], writing: bool) -> T:
        with role.using(_Context()) as session:
            if writing and session.get_bind().dialect.name == "sqlite":
                # A transaction that reads first and writes later cannot wait for another writer
                # in SQLite: it fails at once.  One that begins with a write waits its turn.
                session.connection().execute(sa.update(Generation).values(value=Generation.value))
            result = work(session)
            if writing:
                at_end.write_all(session)
            return result


def _prepare(engine: sa.Engine) -> None:
    if engine.dialect.name != "sqlite":
        failover.watch(engine)
        return

    @sa.event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA busy_timeout = 15000")
        connection.execute("PRAGMA journal_mode = WAL")
