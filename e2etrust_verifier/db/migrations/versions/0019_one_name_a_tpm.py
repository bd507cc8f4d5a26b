# SPDX-License-Identifier: Apache-2.0
"""A TPM has one name: the digest of each host's endorsement key stands in one record only.

It is left out where the key is that of a host that was enrolled before, and by workers of the
release before.
"""

import hashlib

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("hosts", sa.Column("ek_sha256", sa.String(length=64), nullable=True))
    hosts = sa.table("hosts", *map(sa.column, ("name", "ek_public", "enrolled_at", "ek_sha256")))
    connection = op.get_bind()
    first: dict[str, str] = {}
    by_age = sa.select(hosts.c.name, hosts.c.ek_public).order_by(hosts.c.enrolled_at, hosts.c.name)
    for name, ek_public in connection.execute(by_age):
        first.setdefault(hashlib.sha256(ek_public).hexdigest(), name)
    if first:
        filled = sa.update(hosts).where(hosts.c.name == sa.bindparam("of"))
        connection.execute(
            filled.values(ek_sha256=sa.bindparam("digest")),
            [{"of": name, "digest": digest} for digest, name in first.items()],
        )
    op.create_index("ix_hosts_ek_sha256", "hosts", ["ek_sha256"], unique=True)
    op.create_index("ix_ek_pins_ek_sha256", "ek_pins", ["ek_sha256"])
