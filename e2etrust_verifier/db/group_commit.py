# SPDX-License-Identifier: Apache-2.0
"""Group commit: what threads write of different hosts at the same time is one transaction.

Every change of a host's standing takes the one change number, so transactions wait for one another
however many threads and workers there are, each for the commit of the one before.  Those that wait
go together instead.  An outcome is known to nobody before its commit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from oslo_db import exception as db_exc
from sqlalchemy.orm import Session

from e2etrust_verifier.db import hosts
from e2etrust_verifier.db.grouping import Grouping, Waiting

T = TypeVar("T")
Work = Callable[[Session], T]

#: Errors after which a whole transaction is worth another try.
RETRIED = (db_exc.DBDeadlock, db_exc.DBConnectionError)


@dataclass(frozen=True, slots=True)
class HostWork:
    """Work that writes of *host*, and of no other."""

    host: str
    work: Work[Any]


class _Culprit(Exception):
    """The work of one member failed, and with it the whole transaction."""

    def __init__(self, member: Waiting[HostWork, Any]) -> None:
        super().__init__()
        self.member = member


class GroupCommit:
    """Threads share it.

    :param write: runs work in one transaction of its own, see :meth:`.Database.write`.
    """

    def __init__(self, write: Callable[[Work[Any]], Any]) -> None:
        self._write = write
        # A host's second answer builds on what its first one left: each host once.
        self._grouping: Grouping[HostWork, Any] = Grouping(
            lambda group: self._together(group, tries=2), key=lambda asked: asked.host
        )

    def run(self, host: str, work: Work[T]) -> T:
        """Run *work*, which writes of *host*, and return its result when it is committed.

        Work that raises is void, and takes no other with it.

        :raises Exception: what *work* raised.
        """
        result: T = self._grouping.run(HostWork(host, work))
        return result

    def __len__(self) -> int:
        """How many wait for the transaction before theirs."""
        return len(self._grouping)

    def _together(self, group: list[Waiting[HostWork, Any]], tries: int) -> None:
        if len(group) == 1 or not tries:
            for member in group:
                self._alone(member)
            return
        try:
            results = self._write(lambda session: _all(session, group))
        except _Culprit as exc:
            self._alone(exc.member)
            self._together([m for m in group if m is not exc.member], tries - 1)
        except db_exc.DBConnectionError as exc:
            # Tried often enough: to try for each would make all of them wait for each.
            for member in group:
                member.outcome.set_exception(exc)
        except Exception:
            self._together(group, tries=0)
        else:
            for member, result in zip(group, results, strict=True):
                member.outcome.set_result(result)

    def _alone(self, member: Waiting[HostWork, Any]) -> None:
        try:
            member.outcome.set_result(self._write(member.asked.work))
        except Exception as exc:
            member.outcome.set_exception(exc)


def _all(session: Session, group: list[Waiting[HostWork, Any]]) -> list[Any]:
    hosts.lock_with_records(session, [member.asked.host for member in group])
    results = []
    for member in group:
        try:
            results.append(member.asked.work(session))
        except RETRIED:
            raise  # the transaction's fault, and tried again with all of them
        except Exception as exc:
            raise _Culprit(member) from exc
    return results
