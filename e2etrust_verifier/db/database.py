# SPDX-License-Identifier: Apache-2.0
"""Transactions: work as a function over a session, tried again where the database asks for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy as sa
import tenacity
from oslo_config import cfg
from oslo_db.sqlalchemy import enginefacade
from sqlalchemy.orm import Session

from e2etrust_verifier.db import at_end, failover, group_commit, group_read
from e2etrust_verifier.db.group_commit import RETRIED, HostWork
from e2etrust_verifier.db.group_read import Load
from e2etrust_verifier.db.models import Generation

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")

_RETRYING = tenacity.Retrying(
    retry=tenacity.retry_if_exception_type(RETRIED),
    stop=tenacity.stop_after_attempt(5),
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
