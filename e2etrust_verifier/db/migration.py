# SPDX-License-Identifier: Apache-2.0
"""The schema's version, through alembic."""

from __future__ import annotations

import functools
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from e2etrust_core.errors import E2ETrustError
from e2etrust_verifier.db.database import Database

_HERE = Path(__file__).with_name("migrations")


class SchemaError(E2ETrustError):
    """The database's schema is not the one this release works with."""

    code = "SCHEMA_OLD"
    remedy = "run: e2etrust-manage db sync"


class SchemaNewer(SchemaError):
    """A later release has brought the schema up to date."""

    code = "SCHEMA_NEWER"
    remedy = "start the release whose e2etrust-manage db sync ran last"


def sync(database: Database) -> str:
    """Bring the schema to this release's version and return that version.

    :raises SchemaNewer: it is a later release's.
    """
    _refuse_newer(version(database))
    config = _config()
    with database.engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            # What reads first there can write no more once a worker wrote; this writes, and needs
            # no table.
            connection.exec_driver_sql("PRAGMA user_version = 0")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return version(database) or ""


def version(database: Database) -> str | None:
    """Return the schema's version, None where there is no schema."""
    with database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


@functools.cache
def newest() -> str | None:
    """Return the version of this release's schema."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def require_current(database: Database) -> None:
    """Raise SchemaError unless the schema is this release's."""
    head = newest()
    found = version(database)
    _refuse_newer(found)
    if found != head:
        raise SchemaError(f"the database has schema {found or 'none'}, this release needs {head}")


def _refuse_newer(found: str | None) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found is not None and found not in known:
        raise SchemaNewer(f"the database has schema {found}, which this release does not know")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_HERE))
    return config
