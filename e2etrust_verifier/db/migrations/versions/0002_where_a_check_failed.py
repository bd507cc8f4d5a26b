# SPDX-License-Identifier: Apache-2.0
"""Checks name the place in the evidence that they are about."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A default on the server's side: workers of the release before go on writing rows.
    op.add_column(
        "checks", sa.Column("location", sa.String(length=255), server_default="", nullable=False)
    )
