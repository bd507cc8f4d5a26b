# SPDX-License-Identifier: Apache-2.0
"""Events about an enrolment say which endorsement key asked."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("events", sa.Column("ek_sha256", sa.String(length=64), nullable=True))
