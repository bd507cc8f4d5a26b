# SPDX-License-Identifier: Apache-2.0
"""Which version of any policy a host was judged by, whatever the policy is called now."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("host_states", sa.Column("policy_floor", sa.Integer, nullable=True))
