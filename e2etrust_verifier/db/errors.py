# SPDX-License-Identifier: Apache-2.0
"""A database that does not do its part, in our words."""

from __future__ import annotations

from oslo_db import exception as db_exc

from e2etrust_core.errors import E2ETrustError


class DatabaseError(E2ETrustError):
    """The database cannot be reached, or refused."""

    code = "DATABASE"
    remedy = "check [database] connection and that its server or directory is there"


def told(exc: db_exc.DBError) -> DatabaseError:
    """Return *exc* as ours: its first line, which holds no password and no statement."""
    return DatabaseError(str(exc).partition("\n")[0])


def cause(exc: Exception) -> str:
    """Return what the database's driver said, without the statement: its values may be secrets."""
    found = getattr(exc, "inner_exception", exc)
    return str(getattr(found, "orig", found))
