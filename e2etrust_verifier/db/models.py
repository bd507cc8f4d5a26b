# SPDX-License-Identifier: Apache-2.0
"""The tables.

``hosts`` is the immutable record of who a host is; all that changes about it is in
``host_states``, which outlives the record so that a removed host is still told to schedulers.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, validates

from e2etrust_verifier.db.columns import LONG_TEXT, Moment

NAME = sa.String(255)
ID = sa.String(64)
WORD = sa.String(64)
# Quotes within a reason are escaped there, so this is never a host's own word.
_CODE = re.compile(r'"code":"([A-Z0-9_]{1,64})"')


class Base(DeclarativeBase):
    """Binary collation: host1 and HOST1 are two names on every database."""

    __table_args__: Any = {
        "mysql_engine": "InnoDB",
        "mysql_charset": "utf8mb4",
        "mysql_collate": "utf8mb4_bin",
    }


class Host(Base):
    """Who a host is: written once at enrolment, never changed (CVE-2025-13609).

    ``ek_sha256`` (hex) is of ``ek_public``, and in one record only: a TPM has one name.  None where
    that of an older record is the same, or a worker of the release before enrolled the host.
    """

    __tablename__ = "hosts"

    name: Mapped[str] = mapped_column(NAME, primary_key=True)
    # Also to count hosts by: the table itself holds certificates.
    suite: Mapped[str] = mapped_column(WORD, index=True)
    ek_public: Mapped[bytes] = mapped_column(sa.LargeBinary)
    ek_certificate: Mapped[bytes | None] = mapped_column(sa.LargeBinary)
    ek_accepted_by: Mapped[str] = mapped_column(sa.Text)
    ak_public: Mapped[bytes] = mapped_column(sa.LargeBinary)
    ak_name: Mapped[bytes] = mapped_column(sa.LargeBinary)
    enrolled_at: Mapped[datetime] = mapped_column(Moment)
    ek_sha256: Mapped[str | None] = mapped_column(ID, index=True, unique=True)


class HostState(Base):
    """What holds of a host now; there from its enrolment on.

    ``generation`` is that of its last change; ``held`` keeps it untrusted until an operator
    approves; ``failed`` is a JSON list of the checks that failed last; the counters are those of
    the newest authentic quote (TPMS_CLOCK_INFO); ``ima`` (JSON) is how far its IMA list was good;
    ``level`` is that of its lease, 0 without one; ``policy`` is by which it was appraised last;
    ``code`` is always that of the first check in ``failed``; ``said`` is a digest of the last
    outcome that was written down as a verdict, at ``said_at``; ``pins_verifier``: its agent says
    that it takes only answers signed by keys that it was told beforehand, None where it has not
    attested since; ``policy_floor``: the highest version of the policies that it was judged by,
    None: of none.
    """

    __tablename__ = "host_states"

    host: Mapped[str] = mapped_column(NAME, primary_key=True)
    generation: Mapped[int] = mapped_column(sa.BigInteger, index=True)
    lease_id: Mapped[str | None] = mapped_column(ID)
    lease_expires_at: Mapped[datetime | None] = mapped_column(Moment)
    held: Mapped[bool] = mapped_column(sa.Boolean, default=False)
    since: Mapped[datetime] = mapped_column(Moment)
    attested_at: Mapped[datetime | None] = mapped_column(Moment)
    failed: Mapped[str] = mapped_column(LONG_TEXT, default="[]")
    clock: Mapped[int | None] = mapped_column(sa.BigInteger)
    reset_count: Mapped[int | None] = mapped_column(sa.BigInteger)
    restart_count: Mapped[int | None] = mapped_column(sa.BigInteger)
    ima: Mapped[str | None] = mapped_column(LONG_TEXT)
    level: Mapped[int] = mapped_column(sa.SmallInteger, default=0, server_default="0")
    # These two seldom change: an index of them costs an attestation nothing.
    policy: Mapped[str | None] = mapped_column(NAME, index=True)
    code: Mapped[str | None] = mapped_column(WORD, index=True)
    said: Mapped[str | None] = mapped_column(ID)
    said_at: Mapped[datetime | None] = mapped_column(Moment)
    pins_verifier: Mapped[bool | None] = mapped_column(sa.Boolean)
    policy_floor: Mapped[int | None] = mapped_column(sa.Integer)

    @validates("failed")
    def _keep_code(self, _key: str, failed: str) -> str:
        self.code = first_code(failed)
        return failed


def first_code(failed: str) -> str | None:
    """Return the code of the first check in JSON of checks; None where there is none to read."""
    found = _CODE.search(failed)
    return found[1] if found else None


class Generation(Base):
    """One row: the number of the last change, and of the first this database knows."""

    __tablename__ = "generation"

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    first: Mapped[int] = mapped_column(sa.BigInteger)
    value: Mapped[int] = mapped_column(sa.BigInteger)


class PolicyVersion(Base):
    """The highest version of a policy that was ever applied; ``edition`` is of its contents."""

    __tablename__ = "policy_versions"

    name: Mapped[str] = mapped_column(WORD, primary_key=True)
    version: Mapped[int] = mapped_column(sa.Integer)
    edition: Mapped[str] = mapped_column(ID)
    since: Mapped[datetime] = mapped_column(Moment)


class EkPin(Base):
    """An EK that an operator expects of a host: the SHA-256 (hex) of its TPMT_PUBLIC."""

    __tablename__ = "ek_pins"

    host: Mapped[str] = mapped_column(NAME, primary_key=True)
    ek_sha256: Mapped[str] = mapped_column(ID, primary_key=True, index=True)
    pinned_at: Mapped[datetime] = mapped_column(Moment)
    pinned_by: Mapped[str] = mapped_column(NAME)


class Enrolment(Base):
    """A credential challenge that waits for its one answer.  Of the secret only a hash."""

    __tablename__ = "enrolments"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    host: Mapped[str] = mapped_column(NAME, index=True)
    suite: Mapped[str] = mapped_column(WORD)
    ek_public: Mapped[bytes] = mapped_column(sa.LargeBinary)
    ek_certificate: Mapped[bytes | None] = mapped_column(sa.LargeBinary)
    ek_chain: Mapped[bytes | None] = mapped_column(sa.LargeBinary)
    ek_accepted_by: Mapped[str] = mapped_column(sa.Text)
    ak_public: Mapped[bytes] = mapped_column(sa.LargeBinary)
    secret_sha256: Mapped[str] = mapped_column(ID)
    created_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment, index=True)


class ChallengeKey(Base):
    """A key that nonces are authenticated by; drawn by the worker that needed one first.

    Nonces of it that run out by ``closed_until`` are good for nothing, whatever the clock says:
    which of them were answered may be forgotten.
    """

    __tablename__ = "challenge_keys"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    secret: Mapped[bytes] = mapped_column(sa.LargeBinary)
    made_at: Mapped[datetime] = mapped_column(Moment)
    closed_until: Mapped[datetime | None] = mapped_column(Moment)


class Answer(Base):
    """A nonce that was used up; kept until nobody would take it any more."""

    __tablename__ = "answers"

    nonce_sha256: Mapped[str] = mapped_column(ID, primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(Moment, index=True)


class Challenge(Base):
    """A nonce of a worker of the release before.  No worker of this release reads or writes it."""

    __tablename__ = "challenges"

    nonce_sha256: Mapped[str] = mapped_column(ID, primary_key=True)
    host: Mapped[str] = mapped_column(NAME, index=True)
    purpose: Mapped[str] = mapped_column(WORD)
    selection: Mapped[str] = mapped_column(sa.Text)
    lease_id: Mapped[str | None] = mapped_column(ID)
    clock: Mapped[int | None] = mapped_column(sa.BigInteger)
    reset_count: Mapped[int | None] = mapped_column(sa.BigInteger)
    restart_count: Mapped[int | None] = mapped_column(sa.BigInteger)
    ima: Mapped[str | None] = mapped_column(LONG_TEXT)
    policy: Mapped[str] = mapped_column(WORD, server_default="")
    issued_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment, index=True)
    used: Mapped[int] = mapped_column(sa.SmallInteger, default=0)


class Verdict(Base):
    """One appraisal of authentic evidence, with a row a check."""

    __tablename__ = "verdicts"
    __table_args__ = (sa.Index("ix_verdicts_host_at", "host", "at"), Base.__table_args__)

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    host: Mapped[str] = mapped_column(NAME)
    at: Mapped[datetime] = mapped_column(Moment)
    purpose: Mapped[str] = mapped_column(WORD)
    policy: Mapped[str] = mapped_column(NAME)
    policy_version: Mapped[int | None] = mapped_column(sa.Integer)
    trusted: Mapped[bool] = mapped_column(sa.Boolean)
    checks: Mapped[list[Check]] = relationship(
        order_by="Check.position", cascade="all, delete-orphan", lazy="selectin"
    )


class Check(Base):
    __tablename__ = "checks"

    verdict_id: Mapped[int] = mapped_column(
        sa.ForeignKey("verdicts.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(WORD)
    outcome: Mapped[str] = mapped_column(WORD)
    code: Mapped[str] = mapped_column(WORD)
    reason: Mapped[str] = mapped_column(sa.Text)
    remedy: Mapped[str] = mapped_column(sa.Text)
    location: Mapped[str] = mapped_column(NAME, server_default="")


class Evidence(Base):
    """Evidence with what it was appraised by (JSON of appraisal.recorded.RecordedAppraisal)."""

    __tablename__ = "evidence"
    __table_args__ = (sa.Index("ix_evidence_host_id", "host", "id"), Base.__table_args__)

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    host: Mapped[str] = mapped_column(NAME)
    at: Mapped[datetime] = mapped_column(Moment)
    policy: Mapped[str] = mapped_column(NAME)
    fingerprint: Mapped[str] = mapped_column(WORD)
    trusted: Mapped[bool] = mapped_column(sa.Boolean)
    failed: Mapped[str] = mapped_column(LONG_TEXT)
    record: Mapped[str] = mapped_column(LONG_TEXT)


class Lease(Base):
    """Every lease there was.  ``ended`` says why it is over."""

    __tablename__ = "leases"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    host: Mapped[str] = mapped_column(NAME, index=True)
    granted_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment, index=True)
    ended_at: Mapped[datetime | None] = mapped_column(Moment, index=True)
    ended: Mapped[str | None] = mapped_column(WORD)


class Launch(Base):
    """One granted start of a server; ``record`` is the signed record with its evidence."""

    __tablename__ = "launches"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    instance: Mapped[str] = mapped_column(ID, index=True)
    project: Mapped[str | None] = mapped_column(ID)
    host: Mapped[str] = mapped_column(NAME, index=True)
    name: Mapped[str] = mapped_column(NAME)
    image: Mapped[str | None] = mapped_column(ID)
    flavor: Mapped[str | None] = mapped_column(NAME)
    key_id: Mapped[str | None] = mapped_column(ID)
    lease_id: Mapped[str] = mapped_column(ID)
    state: Mapped[str] = mapped_column(WORD, index=True)
    reason: Mapped[str] = mapped_column(sa.Text, default="")
    record: Mapped[str] = mapped_column(LONG_TEXT)
    granted_at: Mapped[datetime] = mapped_column(Moment)
    ended_at: Mapped[datetime | None] = mapped_column(Moment)


class Refusal(Base):
    """One refused start of a server; ``told_by`` is verifier or host."""

    __tablename__ = "refusals"

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    instance: Mapped[str] = mapped_column(ID, index=True)
    project: Mapped[str | None] = mapped_column(ID)
    host: Mapped[str] = mapped_column(NAME)
    told_by: Mapped[str] = mapped_column(WORD)
    code: Mapped[str] = mapped_column(WORD)
    reason: Mapped[str] = mapped_column(sa.Text)
    remedy: Mapped[str] = mapped_column(sa.Text)
    at: Mapped[datetime] = mapped_column(Moment)


class Event(Base):
    """Something an operator or tenant may want to know.

    ``ek_sha256`` (hex) is of the TPMT_PUBLIC of the endorsement key that asked to enrol.
    """

    __tablename__ = "events"
    __table_args__ = (sa.Index("ix_events_kind_id", "kind", "id"), Base.__table_args__)

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    at: Mapped[datetime] = mapped_column(Moment)
    kind: Mapped[str] = mapped_column(WORD)
    host: Mapped[str | None] = mapped_column(NAME, index=True)
    instance: Mapped[str | None] = mapped_column(ID)
    message: Mapped[str] = mapped_column(sa.Text)
    ek_sha256: Mapped[str | None] = mapped_column(ID)


class Outbox(Base):
    """Something that has to be told, written in the transaction that made it true.

    ``destination`` is empty until a worker hands it out to where it has to go.  ``number`` stays
    the same however often it is sent.  Who holds it until ``claimed_until`` is ``claimed_by``.
    """

    __tablename__ = "outbox"
    __table_args__ = (
        sa.Index("ix_outbox_destination_due_at", "destination", "due_at"),
        Base.__table_args__,
    )

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    number: Mapped[str] = mapped_column(ID)
    destination: Mapped[str] = mapped_column(WORD)
    at: Mapped[datetime] = mapped_column(Moment)
    kind: Mapped[str] = mapped_column(WORD)
    host: Mapped[str | None] = mapped_column(NAME)
    instance: Mapped[str | None] = mapped_column(ID)
    message: Mapped[str] = mapped_column(sa.Text)
    codes: Mapped[str] = mapped_column(sa.Text)
    attempts: Mapped[int] = mapped_column(sa.Integer)
    due_at: Mapped[datetime] = mapped_column(Moment)
    claimed_until: Mapped[datetime] = mapped_column(Moment)
    claimed_by: Mapped[str] = mapped_column(WORD)


class Worker(Base):
    """A running e2etrust-verifier, and when it last said so.

    ``policies`` is JSON of what its policy directory holds (trust.worker_policies);
    ``knows_schema`` the newest version of the schema that it knows (:mod:`.migration`).  None of a
    worker of a release before there was that.
    """

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(WORD, primary_key=True)
    machine: Mapped[str] = mapped_column(NAME)
    started_at: Mapped[datetime] = mapped_column(Moment)
    seen_at: Mapped[datetime] = mapped_column(Moment, index=True)
    policies: Mapped[str | None] = mapped_column(LONG_TEXT)
    knows_schema: Mapped[str | None] = mapped_column(WORD)


class Duty(Base):
    """Work that one worker at a time does; it is free when ``until`` is over."""

    __tablename__ = "duties"

    name: Mapped[str] = mapped_column(WORD, primary_key=True)
    holder: Mapped[str] = mapped_column(WORD)
    until: Mapped[datetime] = mapped_column(Moment)


class Revocation(Base):
    """What was done to a host's compute service in Nova, written before it is done.

    ``disabled`` and ``forced_down`` say that it was us; ``disabled_at``: Nova did so, and nobody
    but an operator enables it after that; ``reason`` is what we wrote into Nova.
    ``problem`` is what kept the last try from its end, or empty.
    """

    __tablename__ = "revocations"

    host: Mapped[str] = mapped_column(NAME, primary_key=True)
    acted_at: Mapped[datetime] = mapped_column(Moment, index=True)
    reason: Mapped[str] = mapped_column(NAME)
    disabled: Mapped[bool] = mapped_column(sa.Boolean)
    disabled_at: Mapped[datetime | None] = mapped_column(Moment)
    forced_down: Mapped[bool] = mapped_column(sa.Boolean)
    done: Mapped[bool] = mapped_column(sa.Boolean)
    problem: Mapped[str] = mapped_column(sa.Text)
