# SPDX-License-Identifier: Apache-2.0
"""Challenges carry what is known of them; only their answers, and new verdicts, are rows."""

import sqlalchemy as sa
from alembic import op

from e2etrust_verifier.db.columns import MOMENT

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "challenge_keys",
        sa.Column("id", sa.String(length=64), primary_key=True),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )
    op.create_table(
        "answers",
        sa.Column("nonce_sha256", sa.String(length=64), primary_key=True),
        sa.Column("expires_at", MOMENT, nullable=False),
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )
    op.create_index("ix_answers_expires_at", "answers", ["expires_at"])
    op.add_column("host_states", sa.Column("said", sa.String(length=64), nullable=True))
    op.add_column("host_states", sa.Column("said_at", MOMENT, nullable=True))
