# SPDX-License-Identifier: Apache-2.0
"""The first tables"""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Written out here: a migration keeps what it was when the models move on.
MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
TABLE: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}


def upgrade() -> None:
    _challenges()
    _enrolments()
    _events()
    _generation()
    _host_states()
    _hosts()
    _launches()
    _leases()
    _refusals()
    _verdicts()
    _checks()
    _count_from_now()


def _count_from_now() -> None:
    """Start counting changes from the clock.

    A database that is made anew then counts on from a higher number than the lost one had
    reached, and whoever remembers an older number is told everything.
    """
    now = int(time.time()) * 1000
    row = sa.table("generation", sa.column("id"), sa.column("first"), sa.column("value"))
    op.bulk_insert(row, [{"id": 1, "first": now, "value": now}])


def _challenges() -> None:
    op.create_table(
        "challenges",
        sa.Column("nonce_sha256", sa.String(length=64), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("purpose", sa.String(length=64), nullable=False),
        sa.Column("selection", sa.Text(), nullable=False),
        sa.Column("lease_id", sa.String(length=64), nullable=True),
        sa.Column("clock", sa.BigInteger(), nullable=True),
        sa.Column("reset_count", sa.BigInteger(), nullable=True),
        sa.Column("restart_count", sa.BigInteger(), nullable=True),
        sa.Column("issued_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("used", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("nonce_sha256"),
        **TABLE,
    )
    op.create_index("ix_challenges_expires_at", "challenges", ["expires_at"])
    op.create_index("ix_challenges_host", "challenges", ["host"])


def _enrolments() -> None:
    op.create_table(
        "enrolments",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("suite", sa.String(length=64), nullable=False),
        sa.Column("ek_public", sa.LargeBinary(), nullable=False),
        sa.Column("ek_certificate", sa.LargeBinary(), nullable=True),
        sa.Column("ek_accepted_by", sa.Text(), nullable=False),
        sa.Column("ak_public", sa.LargeBinary(), nullable=False),
        sa.Column("secret_sha256", sa.String(length=64), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        **TABLE,
    )
    op.create_index("ix_enrolments_expires_at", "enrolments", ["expires_at"])
    op.create_index("ix_enrolments_host", "enrolments", ["host"])


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=True),
        sa.Column("instance", sa.String(length=64), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        **TABLE,
    )
    op.create_index("ix_events_host", "events", ["host"])
    op.create_index("ix_events_kind_id", "events", ["kind", "id"])


def _generation() -> None:
    op.create_table(
        "generation",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        **TABLE,
    )


def _host_states() -> None:
    op.create_table(
        "host_states",
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("lease_id", sa.String(length=64), nullable=True),
        sa.Column("lease_expires_at", MOMENT, nullable=True),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("attested_at", MOMENT, nullable=True),
        sa.Column("failed", LONG_TEXT, nullable=False),
        sa.Column("clock", sa.BigInteger(), nullable=True),
        sa.Column("reset_count", sa.BigInteger(), nullable=True),
        sa.Column("restart_count", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("host"),
        **TABLE,
    )
    op.create_index("ix_host_states_generation", "host_states", ["generation"])


def _hosts() -> None:
    op.create_table(
        "hosts",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("suite", sa.String(length=64), nullable=False),
        sa.Column("ek_public", sa.LargeBinary(), nullable=False),
        sa.Column("ek_certificate", sa.LargeBinary(), nullable=True),
        sa.Column("ek_accepted_by", sa.Text(), nullable=False),
        sa.Column("ak_public", sa.LargeBinary(), nullable=False),
        sa.Column("ak_name", sa.LargeBinary(), nullable=False),
        sa.Column("enrolled_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("name"),
        **TABLE,
    )


def _launches() -> None:
    op.create_table(
        "launches",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("instance", sa.String(length=64), nullable=False),
        sa.Column("project", sa.String(length=64), nullable=True),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("image", sa.String(length=64), nullable=True),
        sa.Column("flavor", sa.String(length=255), nullable=True),
        sa.Column("key_id", sa.String(length=64), nullable=True),
        sa.Column("lease_id", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("record", LONG_TEXT, nullable=False),
        sa.Column("granted_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        **TABLE,
    )
    op.create_index("ix_launches_host", "launches", ["host"])
    op.create_index("ix_launches_instance", "launches", ["instance"])


def _leases() -> None:
    op.create_table(
        "leases",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("granted_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("ended", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        **TABLE,
    )
    op.create_index("ix_leases_ended_at", "leases", ["ended_at"])
    op.create_index("ix_leases_expires_at", "leases", ["expires_at"])
    op.create_index("ix_leases_host", "leases", ["host"])


def _refusals() -> None:
    op.create_table(
        "refusals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("instance", sa.String(length=64), nullable=False),
        sa.Column("project", sa.String(length=64), nullable=True),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("told_by", sa.String(length=64), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("remedy", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        **TABLE,
    )
    op.create_index("ix_refusals_instance", "refusals", ["instance"])


def _verdicts() -> None:
    op.create_table(
        "verdicts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("purpose", sa.String(length=64), nullable=False),
        sa.Column("policy", sa.String(length=255), nullable=False),
        sa.Column("trusted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        **TABLE,
    )
    op.create_index("ix_verdicts_host_at", "verdicts", ["host", "at"])


def _checks() -> None:
    op.create_table(
        "checks",
        sa.Column("verdict_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("outcome", sa.String(length=64), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("remedy", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["verdict_id"], ["verdicts.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("verdict_id", "position"),
        **TABLE,
    )
