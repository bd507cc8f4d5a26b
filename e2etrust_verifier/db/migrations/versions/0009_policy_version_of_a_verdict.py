# SPDX-License-Identifier: Apache-2.0
"""By which version of its policy a host was appraised."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Nullable: workers of the release before go on writing rows.
    op.add_column("verdicts", sa.Column("policy_version", sa.Integer(), nullable=True))
