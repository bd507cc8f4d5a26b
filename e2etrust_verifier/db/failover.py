# SPDX-License-Identifier: Apache-2.0
"""Another database server takes over: what tells so makes every connection anew.

oslo.db knows a connection that broke.  Left to us: a server that became a replica and answers on,
one that nobody can connect to yet, and one whose machine is gone without a word.
"""

from __future__ import annotations

import os
import socket
from typing import Any

import sqlalchemy as sa
from oslo_db import exception as db_exc
from oslo_db.sqlalchemy.exc_filters import filters

#: A machine that says nothing for so many seconds, asked three times more, is gone.
_IDLE, _PROBES, _INTERVAL = 15, 3, 5
_GONE_MS = 1000 * (_IDLE + _PROBES * _INTERVAL)
_OPTIONS = {
    socket.TCP_KEEPIDLE: _IDLE,
    socket.TCP_KEEPINTVL: _INTERVAL,
    socket.TCP_KEEPCNT: _PROBES,
    socket.TCP_USER_TIMEOUT: _GONE_MS,
}


def watch(engine: sa.Engine) -> None:
    """Have *engine* notice a server that is gone."""
    sa.event.listen(engine, "connect", _notice_silence)
    engine.dispose()  # oslo.db has tried a connection already


# ER_OPTION_PREVENTS_STATEMENT (--read-only), ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION and
# ER_READ_ONLY_MODE of MySQL and MariaDB; PostgreSQL's read_only_sql_transaction, and what libpq
# says since 14 where it cannot connect.  ER_ERROR_DURING_COMMIT of a Galera node that was cut off
# from the others meanwhile: nothing was committed.
@filters("mysql", sa.exc.OperationalError, r".*\((?:1290|1792|1836), ")
@filters("mysql", sa.exc.OperationalError, r".*\(1180, .*provider status")
@filters("mysql", sa.exc.InternalError, r".*\((?:1290|1792|1836), ")
@filters("postgresql", sa.exc.InternalError, r".*cannot execute .+ in a read-only transaction")
@filters("postgresql", sa.exc.OperationalError, r".*connection to server .+ failed")
def _lost(error: Exception, _match: object, _dialect: str, _is_disconnect: bool) -> None:
    """Have oslo.db make all connections anew, as when one broke."""
    raise db_exc.DBConnectionError(error)


def _notice_silence(connection: Any, _record: Any) -> None:
    """Without this a read waits two hours for a machine that lost its power."""
    own = getattr(connection, "_sock", None)  # of PyMySQL, which has no other way
    descriptor = own.fileno() if own is not None else connection.fileno()
    with socket.socket(fileno=os.dup(descriptor)) as shared:
        if shared.family == socket.AF_UNIX:
            return
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _OPTIONS.items():
            shared.setsockopt(socket.IPPROTO_TCP, option, value)
