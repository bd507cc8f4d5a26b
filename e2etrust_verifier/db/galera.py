# SPDX-License-Identifier: Apache-2.0
"""A node of a Galera cluster answers with what the whole cluster has committed.

By itself it answers with what it has come to apply, which may be seconds old.  A worker there would
know no enrolment that another one has just begun, nor the key of its nonces, and tell schedulers of
a lease that they know to be over.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

_LOOK = "SHOW VARIABLES WHERE Variable_name IN ('wsrep_on', 'wsrep_sync_wait')"


def watch(engine: sa.Engine) -> None:
    """Have each connection to a node that would not wait for the others by itself do so."""
    if engine.dialect.name in ("mysql", "mariadb"):
        sa.event.listen(engine, "connect", wait_for_others)


def wait_for_others(connection: Any, _record: Any) -> None:
    """Look at a new connection of DBAPI's."""
    with connection.cursor() as cursor:
        cursor.execute(_LOOK)
        found = dict(cursor.fetchall())
        if found.get("wsrep_on") == "ON" and found.get("wsrep_sync_wait") == "0":
            # Before what begins a transaction by reading: once in each of ours.
            cursor.execute("SET SESSION wsrep_sync_wait = 1")
