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

from e2etrust_verifier.db import failover
from e2etrust_verifier.db.group_commit import RETRIED, GroupCommit
from e2etrust_verifier.db.group_read import GroupRead, Load
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
        self._commits = GroupCommit(self.write)
        self._reads: dict[Any, GroupRead[Any, Any]] = {}

    def read(self, work: Callable[[Session], T]) -> T:
        """Return what *work* finds in one snapshot."""
        return self._run(self._manager.reader, work, writing=False)

    def write(self, work: Callable[[Session], T]) -> T:
        """Run *work* in one transaction and return its result; all or nothing.

        *work* may be run again after a deadlock or a lost connection: it must not do anything
        but database work.
        """
        return self._run(self._manager.writer, work, writing=True)

    def write_of(self, host: str, work: Callable[[Session], T]) -> T:
        """Do what :meth:`write` does, in one transaction with what is written of other hosts.

        *work* writes of *host*, and of no other; its failure is its own.
        """
        return self._commits.run(host, work)

    def find(self, load: Load[K, V], key: K) -> V:
        """Return what *load* finds for *key*, in one snapshot with what other threads look up."""
        # Two threads may both make one: the first that is kept is used by both.
        made = self._reads.get(load) or self._reads.setdefault(load, GroupRead(self.read, load))
        found: V = made.find(key)
        return found

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
            return work(session)


def _prepare(engine: sa.Engine) -> None:
    if engine.dialect.name != "sqlite":
        failover.watch(engine)
        return

    @sa.event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA busy_timeout = 15000")
        connection.execute("PRAGMA journal_mode = WAL")
