# SPDX-License-Identifier: Apache-2.0
"""What a transaction writes at its end: things of one kind all at once, in few statements.

An error of the database then is the whole transaction's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.orm import Session

T = TypeVar("T")

#: Place in a session's ``info``: things by what writes them, in the order of the first of each.
_PLACE = "e2etrust at end"


def add(session: Session, write: Callable[[Session, list[T]], None], thing: T) -> None:
    """Have *write* called with *thing*, and all others that are added for it."""
    session.info.setdefault(_PLACE, {}).setdefault(write, []).append(thing)


def write_all(session: Session) -> None:
    for write, things in session.info.pop(_PLACE, {}).items():
        write(session, things)
