# SPDX-License-Identifier: Apache-2.0
"""How far a host's IMA list was accepted, and by which policy a challenge asks."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")


def upgrade() -> None:
    # Nullable or with a default: workers of the release before go on writing rows.
    op.add_column("host_states", sa.Column("ima", LONG_TEXT, nullable=True))
    op.add_column("challenges", sa.Column("ima", LONG_TEXT, nullable=True))
    op.add_column(
        "challenges", sa.Column("policy", sa.String(length=64), server_default="", nullable=False)
    )
