# SPDX-License-Identifier: Apache-2.0
"""A database of the test's own, with the schema of now."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from oslo_config import cfg
from oslo_db import options

from e2etrust_verifier.db import migration
from e2etrust_verifier.db.database import Database


def _open(path: Path) -> Database:
    conf = cfg.ConfigOpts()
    options.set_defaults(conf, connection=f"sqlite:///{path}")
    conf([])
    return Database(conf)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the schema and nothing in it: to copy it takes less than to migrate."""
    path = tmp_path_factory.mktemp("schema") / "migrated.sqlite"
    database = _open(path)
    migration.sync(database)
    database.dispose()
    return path


@pytest.fixture
def database(tmp_path: Path, migrated: Path) -> Iterator[Database]:
    made = _open(Path(shutil.copy(migrated, tmp_path / "v.sqlite")))
    yield made
    made.dispose()
