# SPDX-License-Identifier: Apache-2.0
"""Group reads: what threads look up at the same time is one query."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from oslo_db import exception as db_exc
from sqlalchemy.orm import Session

from e2etrust_verifier.db.grouping import Grouping, Waiting

K = TypeVar("K")
V = TypeVar("V")
#: Finds a value for each key, in their order, in one snapshot.
Load = Callable[[Session, list[K]], list[V]]


class GroupRead(Generic[K, V]):
    """Threads share it.

    What is found is never older than the question: a query begins after all that it answers were
    asked.

    :param read: runs work in one snapshot, see :meth:`.Database.read`.
    """

    def __init__(self, read: Callable[[Callable[[Session], Any]], Any], load: Load[K, V]) -> None:
        self._read, self._load = read, load
        self._grouping: Grouping[K, V] = Grouping(self._serve)

    def find(self, key: K) -> V:
        return self._grouping.run(key)

    def _serve(self, group: list[Waiting[K, V]]) -> None:
        keys = [member.asked for member in group]
        try:
            found = self._read(lambda session: self._load(session, keys))
        except db_exc.DBConnectionError as exc:
            for member in group:
                member.outcome.set_exception(exc)
        except Exception as exc:
            if len(group) == 1:
                group[0].outcome.set_exception(exc)
                return
            # What cannot be read of one is the trouble of that one (CVE-2025-1057).
            for member in group:
                self._serve([member])
        else:
            for member, value in zip(group, found, strict=True):
                member.outcome.set_result(value)
