# SPDX-License-Identifier: Apache-2.0
"""What a TPM carries to vouch for its EK's certificate, until the enrolment is answered."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("enrolments", sa.Column("ek_chain", sa.LargeBinary(), nullable=True))
