# SPDX-License-Identifier: Apache-2.0
"""Group reads: what several calls look up is one query."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from oslo_db import exception as db_exc
from sqlalchemy.orm import Session

K = TypeVar("K")
V = TypeVar("V")
#: Finds a value for each key, in their order, in one snapshot.
Load = Callable[[Session, list[K]], list[V]]


def find(
    read: Callable[[Callable[[Session], Any]], Any], load: Load[K, V], keys: list[K]
) -> list[V | Exception]:
    """Return what *load* finds for each of *keys*, in one snapshot, or what it failed with.

    :param read: runs work in one snapshot, see :meth:`.Database.read`.
    """
    try:
        return list(read(lambda session: load(session, keys)))
    except db_exc.DBConnectionError as exc:
        # Tried often enough: to try for each would make all of them wait for each.
        return [exc] * len(keys)
    except Exception as exc:
        if len(keys) == 1:
            return [exc]
        # What cannot be read of one is the trouble of that one (CVE-2025-1057).
        return [found for key in keys for found in find(read, load, [key])]
