# SPDX-License-Identifier: Apache-2.0
"""When a host's compute service was disabled by us: whoever enables it after that wins."""

import sqlalchemy as sa
from alembic import op

from e2etrust_verifier.db.columns import MOMENT

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("revocations", sa.Column("disabled_at", MOMENT, nullable=True))
