# SPDX-License-Identifier: Apache-2.0
"""Checks for oslo.middleware's healthcheck: the database, and whether any worker is there.

``/healthcheck`` asks the first, for load balancers: an API without workers still answers.
``/healthcheck/verifier`` asks both, for monitoring: without a worker no host can attest.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from oslo_config import cfg
from oslo_db import exception as db_exc
from oslo_middleware.healthcheck.pluginbase import HealthcheckBaseExtension, HealthcheckResult

from e2etrust_verifier.db import workers
from e2etrust_verifier.db.database import Database

#: Names of the entry points below.
DATABASE, WORKERS = "e2etrust_database", "e2etrust_workers"
_AWAY = "the database does not answer"


class _Asking(HealthcheckBaseExtension):
    """``database`` in the middleware's own settings is what the API works with."""

    def __init__(self, oslo_conf: cfg.ConfigOpts, conf: dict[str, Any]) -> None:
        super().__init__(oslo_conf, conf)
        self._database: Database = conf["e2etrust_database"]

    def _alive(self) -> int | None:
        """Return how many workers are there, None where the database is away."""
        now = datetime.now(UTC)
        try:
            return self._database.read(lambda s: workers.count_alive(s, now))
        except db_exc.DBError:
            # Its own words may hold the database's address and account.
            return None


class DatabaseCheck(_Asking):
    """The database answers and has the tables."""

    def healthcheck(self, server_port: int) -> HealthcheckResult:  # noqa: ARG002
        found = self._alive()
        return HealthcheckResult(found is not None, "OK" if found is not None else _AWAY)


class WorkersCheck(_Asking):
    """An e2etrust-verifier was seen lately."""

    def healthcheck(self, server_port: int) -> HealthcheckResult:  # noqa: ARG002
        found = self._alive()
        if found is None:
            return HealthcheckResult(False, _AWAY)
        if not found:
            return HealthcheckResult(False, "no e2etrust-verifier works: no host can attest")
        return HealthcheckResult(True, f"{found} workers")
