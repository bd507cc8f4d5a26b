# SPDX-License-Identifier: Apache-2.0
"""A lease has the level of the policy that was satisfied."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A default on the server's side: workers of the release before go on writing rows.
    op.add_column(
        "host_states", sa.Column("level", sa.SmallInteger(), server_default="0", nullable=False)
    )
