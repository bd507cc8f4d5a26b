# SPDX-License-Identifier: Apache-2.0
"""The schema that migrations make is the one the models mean, on both databases."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from oslo_config import cfg
from oslo_db import options

from e2etrust_core import wire
from e2etrust_core.appraisal.model import CheckResult
from e2etrust_verifier.db import hosts, migration
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.db.models import Base, HostState


@pytest.fixture
def database(database_url):
    conf = cfg.ConfigOpts()
    options.set_defaults(conf, connection=database_url)
    conf([])
    made = Database(conf)
    yield made
    made.dispose()


def bring_to(revision: str, connection: sa.Connection) -> None:
    config = migration._config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def test_migrated_schema_equals_the_models(database):
    migration.sync(database)
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_sync_twice_changes_nothing_and_counts_on(database):
    assert migration.sync(database) == migration.sync(database)
    first, last = database.read(hosts.counter)
    assert first == last > 0


def test_service_refuses_a_database_without_the_schema(database):
    with pytest.raises(migration.SchemaError, match="SCHEMA_OLD"):
        migration.require_current(database)
    migration.sync(database)
    migration.require_current(database)


def test_hosts_that_fail_already_have_the_code_of_why(database):
    """As workers of the release before left it, 0011, and write it while the schema changes."""
    failed = wire.to_json([CheckResult("clock", "fail", "back", "CLOCK_WENT_BACK")]).decode()
    row = {"generation": 1, "held": False, "since": "2026-01-01 00:00:00"}
    columns = ("host", "failed", *row)
    states = sa.table("host_states", *map(sa.column, columns))
    with database.engine.begin() as connection:
        bring_to("0011", connection)
        rows = [{"host": "red", "failed": failed, **row}, {"host": "good", "failed": "[]", **row}]
        connection.execute(sa.insert(states), rows)
    migration.sync(database)
    found = database.read(lambda s: {one.host: one.code for one in s.scalars(sa.select(HostState))})
    assert found == {"red": "CLOCK_WENT_BACK", "good": None}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_sync_waits_for_workers_that_write_meanwhile(database):
    with database.engine.begin() as connection:
        bring_to("0016", connection)
    synced: list[str] = []
    with database.engine.connect() as worker:
        worker.execute(sa.text("UPDATE generation SET value = value + 1"))
        syncing = threading.Thread(target=lambda: synced.append(migration.sync(database)))
        syncing.start()
        syncing.join(timeout=1)
        assert not synced
        worker.commit()
    syncing.join(timeout=60)
    assert synced == [migration.newest()]


def test_tpm_that_two_hosts_have_already_is_that_of_the_first(database):
    keys = {"suite": "s", "ek_accepted_by": "", "ak_public": b"a", "ak_name": b"n"}
    columns = ("name", "ek_public", "enrolled_at", *keys)
    table = sa.table("hosts", *map(sa.column, columns))
    named = [("b", b"1", "01"), ("a", b"1", "02"), ("c", b"2", "02"), ("d", b"1", "03")]
    with database.engine.begin() as connection:
        bring_to("0018", connection)
        rows = [
            {"name": name, "ek_public": ek, "enrolled_at": f"2026-01-{day} 00:00:00", **keys}
            for name, ek, day in named
        ]
        connection.execute(sa.insert(table), rows)
    migration.sync(database)
    told = {one.name for one in database.read(hosts.everyone) if one.ek_sha256}
    assert told == {"b", "c"}
    assert database.read(hosts.with_shared_keys) == ["a", "d"]
    assert database.read(lambda s: [hosts.is_enrolled(s, ek) for ek in (b"1", b"2", b"3")]) == [
        *(True, True, False)
    ]


def test_schema_of_a_later_release_is_neither_used_nor_touched(database):
    migration.sync(database)
    with database.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    for asked in (migration.require_current, migration.sync):
        with pytest.raises(migration.SchemaNewer, match="9999"):
            asked(database)


def test_each_schema_takes_what_workers_of_the_release_before_write(database):
    """As while a new release is rolled out: some workers run the old code on the new schema."""
    config = migration._config()
    revisions = [s.revision for s in ScriptDirectory.from_config(config).walk_revisions()]
    old = sa.MetaData()
    for revision in reversed(revisions):
        with database.engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
        with database.engine.connect() as connection:
            for table in old.sorted_tables:
                live_a_row(connection, table)
        old = sa.MetaData()
        old.reflect(database.engine)
        assert "hosts" in old.tables


def live_a_row(connection: sa.Connection, table: sa.Table) -> None:
    """Write a row with all columns that *table* has, change, find and delete it."""
    row = {column.name: value_of(column) for column in table.columns}
    connection.execute(sa.insert(table).values(row))
    mine = sa.and_(*(column == row[column.name] for column in table.primary_key))
    connection.execute(sa.update(table).where(mine).values(row))
    assert connection.execute(sa.select(table).where(mine)).one()._mapping == row
    if table.name != "verdicts":  # which a check is of
        connection.execute(sa.delete(table).where(mine))


def value_of(column: sa.Column[Any]) -> Any:
    kind = column.type.python_type
    return {str: "x", bytes: b"x", int: 77, bool: True, datetime: datetime(2026, 1, 1)}[kind]  # noqa: DTZ001 - as stored
