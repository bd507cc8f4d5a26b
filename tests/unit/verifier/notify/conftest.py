# SPDX-License-Identifier: Apache-2.0
"""A database of the test's own."""

from __future__ import annotations

import pytest
from oslo_config import cfg
from oslo_db import options

from e2etrust_verifier.db import migration
from e2etrust_verifier.db.database import Database


@pytest.fixture
def database(tmp_path):
    conf = cfg.ConfigOpts()
    options.set_defaults(conf, connection=f"sqlite:///{tmp_path}/v.sqlite")
    conf([])
    made = Database(conf)
    migration.sync(made)
    yield made
    made.dispose()
