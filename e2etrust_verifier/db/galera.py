# SPDX-License-Identifier: Apache-2.0
"""A node of a Galera cluster answers with what the whole cluster has committed.

By itself it answers with what it has come to apply, which may be seconds old.  A worker there would
know no enrolment that another one has just begun, nor the key of its nonces, and tell schedulers of
a lease that they know to be over.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

_LOOK = "SHOW VARIABLES WHERE Variable_name IN ('wsrep_on', 'wsrep_sync_wait')"
_KINDS = ("mysql", "mariadb")
#: Of the bits of wsrep_sync_wait that for what begins a transaction by reading.
_READS = 1


def watch(engine: sa.Engine) -> None:
    """Have each connection to a node that would not wait for the others by itself do so."""
    if engine.dialect.name in _KINDS:
        sa.event.listen(engine, "connect", wait_for_others)


def wait_for_others(connection: Any, _record: Any) -> None:
    """Look at a new connection of DBAPI's."""
    with connection.cursor() as cursor:
        cursor.execute(_LOOK)
        waits_for = _waits_for(cursor.fetchall())
        if not waits_for & _READS:
            # Once in each transaction of ours.
            cursor.execute(f"SET SESSION wsrep_sync_wait = {waits_for | _READS}")


def reads_what_is_old(session: Session) -> bool:
    """Whether *session* is at a node that answers reads without waiting for the others."""
    if session.get_bind().dialect.name not in _KINDS:
        return False
    found = session.execute(sa.text(_LOOK)).all()
    return not _waits_for(found) & _READS


def _waits_for(found: Iterable[Any]) -> int:
    """Return what waits, as wsrep_sync_wait has it; without other nodes there is nothing to."""
    variables = dict(tuple(row) for row in found)
    return int(variables["wsrep_sync_wait"]) if variables.get("wsrep_on") == "ON" else _READS
