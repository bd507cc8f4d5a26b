# SPDX-License-Identifier: Apache-2.0
"""What has to be told, who works, and what was done in Nova."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from e2etrust_verifier.db.columns import MOMENT

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

MYSQL: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}


def upgrade() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("number", sa.String(length=64), nullable=False),
        sa.Column("destination", sa.String(length=64), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("host", sa.String(length=255)),
        sa.Column("instance", sa.String(length=64)),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("codes", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("claimed_until", MOMENT, nullable=False),
        sa.Column("claimed_by", sa.String(length=64), nullable=False),
        **MYSQL,
    )
    op.create_index("ix_outbox_destination_due_at", "outbox", ["destination", "due_at"])
    op.create_table(
        "workers",
        sa.Column("id", sa.String(length=64), primary_key=True),
        sa.Column("machine", sa.String(length=255), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False, index=True),
        **MYSQL,
    )
    duties = op.create_table(
        "duties",
        sa.Column("name", sa.String(length=64), primary_key=True),
        sa.Column("holder", sa.String(length=64), nullable=False),
        sa.Column("until", MOMENT, nullable=False),
        **MYSQL,
    )
    long_ago = datetime(2000, 1, 1)  # noqa: DTZ001 - stored as UTC without a zone
    op.bulk_insert(duties, [{"name": "revocation", "holder": "", "until": long_ago}])
    op.create_table(
        "revocations",
        sa.Column("host", sa.String(length=255), primary_key=True),
        sa.Column("acted_at", MOMENT, nullable=False, index=True),
        sa.Column("reason", sa.String(length=255), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("forced_down", sa.Boolean(), nullable=False),
        sa.Column("done", sa.Boolean(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        **MYSQL,
    )
