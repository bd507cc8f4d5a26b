# SPDX-License-Identifier: Apache-2.0
"""By which policy a host was appraised and why it is red, beside its state; indexes to count by."""

import re

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# As the models had it then: quotes within a reason are escaped.
_CODE = re.compile(r'"code":"([A-Z0-9_]{1,64})"')
_STATES = sa.table("host_states", sa.column("host"), sa.column("failed"), sa.column("code"))


def upgrade() -> None:
    op.add_column("host_states", sa.Column("policy", sa.String(255), nullable=True))
    op.add_column("host_states", sa.Column("code", sa.String(64), nullable=True))
    op.create_index("ix_host_states_policy", "host_states", ["policy"])
    op.create_index("ix_host_states_code", "host_states", ["code"])
    op.create_index("ix_hosts_suite", "hosts", ["suite"])
    op.create_index("ix_launches_state", "launches", ["state"])
    connection = op.get_bind()
    failing = sa.select(_STATES.c.host, _STATES.c.failed).where(_STATES.c.failed != "[]")
    for host, failed in connection.execute(failing).all():
        if found := _CODE.search(failed):
            named = sa.update(_STATES).where(_STATES.c.host == host).values(code=found[1])
            connection.execute(named)
