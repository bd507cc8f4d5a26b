# SPDX-License-Identifier: Apache-2.0
"""Which hosts take only answers that a pinned key of the verifier's signed."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("host_states", sa.Column("pins_verifier", sa.Boolean, nullable=True))
