# SPDX-License-Identifier: Apache-2.0
"""Up to when nonces are closed, and which policies each worker has."""

import sqlalchemy as sa
from alembic import op

from e2etrust_verifier.db.columns import LONG_TEXT, MOMENT

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("challenge_keys", sa.Column("closed_until", MOMENT, nullable=True))
    op.add_column("workers", sa.Column("policies", LONG_TEXT, nullable=True))
