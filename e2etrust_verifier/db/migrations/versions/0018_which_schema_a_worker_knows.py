# SPDX-License-Identifier: Apache-2.0
"""Workers say up to which schema they know, so that those of the release before are seen."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workers", sa.Column("knows_schema", sa.String(length=64), nullable=True))
