# SPDX-License-Identifier: Apache-2.0
"""How a host stands: leased, failed, held.  Each change in one transaction, under one number."""

from __future__ import annotations

import hashlib
import uuid
from datetime import datetime, timedelta
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from e2etrust_core import wire
from e2etrust_core.appraisal.model import CheckResult
from e2etrust_core.appraisal.reference import ClockSeen, ImaSeen
from e2etrust_core.errors import InputError
from e2etrust_core.messages import LeaseGrant
from e2etrust_core.trust_names import LOWEST_LEVEL, NOTHING
from e2etrust_verifier.db import events, hosts, leases
from e2etrust_verifier.db.hosts import LeaseRow
from e2etrust_verifier.db.models import HostState

StandingWord = Literal["trusted", "held", "untrusted", "unknown"]
EXPIRED = CheckResult(
    "lease",
    "fail",
    "the lease ran out and no new evidence came",
    "LEASE_EXPIRED",
    "look at e2etrust-agent on the host, and at the message bus between it and the verifier",
)
HELD = CheckResult(
    "standing",
    "fail",
    "the host waits for an operator's approval",
    "HOST_HELD",
    "look into the checks that failed before, then: e2etrust-manage host approve",
)

#: Of a host that an operator revoked.
REVOKED_CODE = "HOST_REVOKED"

#: What stands in place of a row that cannot be read.
UNREADABLE = CheckResult(
    "record",
    "fail",
    "what the database holds of this host cannot be read",
    "ROW_UNREADABLE",
    "let the host attest again (restart e2etrust-agent on it); look at who wrote to the database",
)
_NONE_FAILED = "[]"
#: An outcome that says nothing new is written down again after so long.
AGAIN_AFTER = timedelta(hours=1)


def failed_checks(state: HostState | LeaseRow) -> list[CheckResult]:
    """Return the checks that failed last.

    A row that cannot be read is a failed check itself: it takes down its own host, and not what
    is told of all the others (CVE-2025-1057).
    """
    if state.failed == _NONE_FAILED:  # most of a fleet
        return []
    try:
        return wire.from_json(list[CheckResult], state.failed)
    except InputError:
        return [UNREADABLE]


def word(state: HostState | None, now: datetime) -> StandingWord:
    """Say how a host stands: ``unknown`` is one of which there is no fresh evidence."""
    if state is None:
        return "unknown"
    if state.held:
        return "held"
    if has_lease(state, now):
        return "trusted"
    return "unknown" if failed_checks(state) in ([], [EXPIRED]) else "untrusted"


def word_of_row(now: datetime) -> sa.ColumnElement[str]:
    """Return what :func:`word` says as a column of a query over states."""
    expired = wire.to_json([EXPIRED]).decode()
    leased = sa.and_(
        HostState.failed == _NONE_FAILED,
        leases.in_time(now),
    )
    return sa.case(
        (HostState.held.is_(True), "held"),
        (leased, "trusted"),
        (HostState.failed.in_([_NONE_FAILED, expired]), "unknown"),
        else_="untrusted",
    )


def level_of_row(now: datetime) -> sa.ColumnElement[int]:
    """Return what :func:`level` says as a column of a query over states."""
    least = sa.case((HostState.level < LOWEST_LEVEL, LOWEST_LEVEL), else_=HostState.level)
    return sa.case((word_of_row(now) == "trusted", least), else_=NOTHING)


def ima_seen(text: str | None) -> ImaSeen | None:
    """Return how far an IMA list was accepted; what cannot be read counts for nothing."""
    if text is None:
        return None
    try:
        return wire.from_json(ImaSeen, text)
    except InputError:
        return None


def see_ima(state: HostState, seen: ImaSeen | None) -> None:
    """Keep how far the list was accepted; answers may arrive in another order than drawn."""
    known = ima_seen(state.ima)
    if seen is None:
        state.ima = None
    elif (
        known is None
        or not known.aggregate
        or known.policy != seen.policy
        or (known.reset_count, known.offset) < (seen.reset_count, seen.offset)
    ):
        state.ima = wire.to_json(seen).decode()


def has_lease(state: HostState | LeaseRow | None, now: datetime) -> bool:
    return (
        state is not None
        and not state.held
        and state.failed == _NONE_FAILED
        and state.lease_id is not None
        and state.lease_expires_at is not None
        and state.lease_expires_at > now
        and (state.attested_at is None or state.attested_at <= now + leases.CLOCKS_AGREE)
    )


def seconds_left(state: HostState | LeaseRow, now: datetime) -> float:
    """Seconds of lease that are left, 0.0 where there is none."""
    if not has_lease(state, now) or state.lease_expires_at is None:
        return 0.0
    return (state.lease_expires_at - now).total_seconds()


def level(state: HostState | LeaseRow, now: datetime) -> int:
    """Return the level of the host's lease, 0 where there is none.

    A lease from before there were levels has the lowest.
    """
    return max(state.level or 0, LOWEST_LEVEL) if has_lease(state, now) else NOTHING


def refused_since(state: HostState, moment: datetime) -> bool:
    """Whether the host failed an appraisal after *moment*, or an operator decided about it and it
    was not trusted again since: evidence from before says less.

    A lease that ran out says nothing about the host, nor does an enrolment.
    """
    if state.lease_id is not None or failed_checks(state) == [EXPIRED]:
        return False
    told_something = bool(failed_checks(state)) or state.attested_at is not None
    return told_something and state.since >= moment


def booted_since(state: HostState, seen: ClockSeen | None) -> bool:
    """Whether newer evidence showed a later boot than that of the evidence with *seen*."""
    if seen is None or state.reset_count is None:
        return False
    return (seen.reset_count, seen.restart_count) < (state.reset_count, state.restart_count or 0)


def is_news(state: HostState, of: str, checks: list[CheckResult], now: datetime) -> bool:
    """Say whether an outcome has to be written down, and note that it was.

    What was said last of the same policy (*of*), by the same checks for the same reasons, is not
    said again for an hour.  Why a check passed may differ from time to time and is no news.
    """
    outcome = wire.to_builtins(checks)
    for check in outcome:
        if check["outcome"] == "pass":
            check["reason"] = ""
    said = hashlib.sha256(of.encode() + b"\0" + wire.canonical(outcome)).hexdigest()
    if state.said == said and state.said_at is not None and now - state.said_at < AGAIN_AFTER:
        return False
    state.said, state.said_at = said, now
    return True


def see_clock(state: HostState, seen: ClockSeen | None, now: datetime) -> None:
    """Keep the newest counters; answers may arrive in another order than they were quoted."""
    if state.attested_at is not None and state.attested_at > now + leases.CLOCKS_AGREE:
        state.lease_expires_at = now  # the clock was set back: it ran out nobody knows when
    state.attested_at = now
    if seen is None:
        return
    known = (state.reset_count or 0, state.restart_count or 0, state.clock or 0)
    if state.clock is None or (seen.reset_count, seen.restart_count, seen.clock) > known:
        state.clock = seen.clock
        state.reset_count = seen.reset_count
        state.restart_count = seen.restart_count


def grant(
    session: Session, state: HostState, seconds: float, level: int, now: datetime
) -> LeaseGrant:
    """Give the host a new lease in place of the one it has.

    :param level: that of the policy that the host satisfied.
    """
    if not has_lease(state, now):
        state.since = now
        events.add(session, "host-trusted", "all checks passed", now=now, host=state.host)
    if state.lease_id is not None:
        leases.end(session, state.lease_id, "renewed", now)
    state.lease_id, state.lease_expires_at = str(uuid.uuid4()), now + timedelta(seconds=seconds)
    leases.add(session, state.lease_id, state.host, now, state.lease_expires_at)
    state.failed, state.level = _NONE_FAILED, level
    hosts.touch(session, state)
    return LeaseGrant(state.lease_id, seconds, level)


def withdraw(
    session: Session,
    state: HostState,
    checks: list[CheckResult],
    now: datetime,
    *,
    why: str,
    hold: bool,
) -> None:
    """End the host's lease, if it has one, and note the checks that failed."""
    if state.lease_id is not None:
        leases.end(session, state.lease_id, why, now)
    state.lease_id = state.lease_expires_at = None
    state.level = NOTHING
    state.held = state.held or hold
    state.failed = wire.to_json(checks).decode()
    state.since = now
    hosts.touch(session, state)
