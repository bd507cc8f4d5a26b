# SPDX-License-Identifier: Apache-2.0
"""Alembic's environment: the connection is handed in by db.migration."""

from __future__ import annotations

from alembic import context

from e2etrust_verifier.db import models

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=models.Base.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
