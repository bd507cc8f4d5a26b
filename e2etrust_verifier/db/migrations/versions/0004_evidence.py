# SPDX-License-Identifier: Apache-2.0
"""Evidence is recorded, so that it can be appraised again."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from e2etrust_verifier.db.columns import MOMENT

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "evidence",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("policy", sa.String(length=255), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("trusted", sa.Boolean(), nullable=False),
        sa.Column("failed", LONG_TEXT, nullable=False),
        sa.Column("record", LONG_TEXT, nullable=False),
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )
    op.create_index("ix_evidence_host_id", "evidence", ["host", "id"])
