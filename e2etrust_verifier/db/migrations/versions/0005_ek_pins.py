# SPDX-License-Identifier: Apache-2.0
"""Operators say which endorsement keys they expect, before or in place of a file."""

import sqlalchemy as sa
from alembic import op

from e2etrust_verifier.db.columns import MOMENT

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ek_pins",
        sa.Column("host", sa.String(length=255), primary_key=True),
        sa.Column("ek_sha256", sa.String(length=64), primary_key=True),
        sa.Column("pinned_at", MOMENT, nullable=False),
        sa.Column("pinned_by", sa.String(length=255), nullable=False),
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )
