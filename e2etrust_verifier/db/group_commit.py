# SPDX-License-Identifier: Apache-2.0
"""Group commit: what several calls write of different hosts is one transaction.

Every change of a host's standing takes the one change number, so transactions wait for one another
however many threads and workers there are, each for the commit of the one before.  Calls that are
served together are written together instead.  No outcome is known before its commit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from oslo_db import exception as db_exc
from sqlalchemy.orm import Session

from e2etrust_verifier.db import hosts

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Work = Callable[[Session], T]
Write = Callable[[Work[Any]], Any]

#: Errors after which a whole transaction is worth another try.
RETRIED = (db_exc.DBDeadlock, db_exc.DBConnectionError)


@dataclass(frozen=True, slots=True)
class HostWork(Generic[T_co]):
    """Work that writes of *host*, and of no other."""

    host: str
    work: Work[T_co]


class _Culprit(Exception):
    """The work of one member failed, and with it the whole transaction."""

    def __init__(self, position: int) -> None:
        super().__init__()
        self.position = position


def commit(write: Write, group: list[HostWork[T]]) -> list[T | Exception]:
    """Do all of *group*; return what came of each: its result, committed, or what it raised.

    Work that raises is void, and takes no other with it.

    :param write: runs work in one transaction of its own, see :meth:`.Database.write`.
    """
    outcomes: dict[int, T | Exception] = {}
    for numbers in _each_host_once(group):
        came = _together(write, [group[n] for n in numbers], tries=2)
        outcomes.update(zip(numbers, came, strict=True))
    return [outcomes[n] for n in range(len(group))]


def _each_host_once(group: list[HostWork[T]]) -> list[list[int]]:
    """Part *group*: a host's second answer builds on what its first one left."""
    parts: list[list[int]] = []
    seen: dict[str, int] = {}
    for number, member in enumerate(group):
        part = seen[member.host] = seen.get(member.host, -1) + 1
        if part == len(parts):
            parts.append([])
        parts[part].append(number)
    return parts


def _together(write: Write, group: list[HostWork[T]], tries: int) -> list[T | Exception]:
    if len(group) == 1 or not tries:
        return [_alone(write, member) for member in group]
    n: int | None
    try:
        return list(write(lambda session: _all(session, group)))
    except _Culprit as exc:
        n = exc.position
    except db_exc.DBConnectionError as exc:
        # Tried often enough: to try for each would make all of them wait for each.
        return [exc] * len(group)
    except Exception:
        n = None
    # Out here, or the log has that error behind whatever it is told of the others.
    if n is None:
        return _together(write, group, tries=0)
    its_own = _alone(write, group[n])
    others = _together(write, group[:n] + group[n + 1 :], tries - 1)
    return [*others[:n], its_own, *others[n:]]


def _alone(write: Write, member: HostWork[T]) -> T | Exception:
    try:
        result: T = write(member.work)
    except Exception as exc:
        return exc
    return result


def _all(session: Session, group: list[HostWork[T]]) -> list[T]:
    hosts.lock_with_records(session, [member.host for member in group])
    results = []
    for position, member in enumerate(group):
        try:
            results.append(member.work(session))
        except RETRIED:
            raise  # the transaction's fault, and tried again with all of them
        except Exception as exc:
            raise _Culprit(position) from exc
    return results
