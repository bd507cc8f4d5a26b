# SPDX-License-Identifier: Apache-2.0
"""What an operator decides about a host: approve, revoke, remove."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.orm import Session

from e2etrust_core.appraisal.model import CheckResult
from e2etrust_core.evidence import tpm_structures
from e2etrust_core.one_line import printable
from e2etrust_verifier.db import events, hosts
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.db.models import Host, HostState
from e2etrust_verifier.trust import standing
from e2etrust_verifier.trust.errors import HostOther, HostUnknown

_REVOKED = CheckResult(
    "standing",
    "fail",
    "an operator revoked the host's trust",
    standing.REVOKED_CODE,
    "an operator brings it back: openstack attestation host approve",
)
_LONGEST_REASON = 255


@dataclass(frozen=True, slots=True)
class Standing:
    """A host's record and how it stands; ``word`` is trusted, held, untrusted or unknown,
    ``level`` that of its lease, 0 without one."""

    record: Host
    word: str
    seconds: float
    since: datetime | None
    failed: list[CheckResult]
    level: int = 0


def standings(database: Database, now: datetime) -> list[Standing]:
    """Return all enrolled hosts, by name."""

    def work(session: Session) -> list[Standing]:
        states = hosts.states(session)
        return [_standing(h, states.get(h.name), now) for h in hosts.everyone(session)]

    return database.read(work)


def standing_of(database: Database, name: str, now: datetime) -> Standing:
    """Return one host's.  Raises HostUnknown."""
    return database.read(lambda s: _standing(_find(s, name), hosts.state(s, name), now))


def approve(
    database: Database, name: str, now: datetime, by: str = "", ek_sha256: str | None = None
) -> None:
    """Let a held host be trusted again by its next good evidence.

    :param by: who decides, for the events.
    :param ek_sha256: the endorsement key (SHA-256 in hex) of the machine that is meant.
    :raises HostUnknown: it is not enrolled.
    :raises HostOther: it is enrolled with another key than that.
    """

    def work(session: Session) -> None:
        known = tpm_structures.ek_sha256(_find(session, name).ek_public)
        if ek_sha256 is not None and ek_sha256.lower() != known:
            raise HostOther(f"host {name} is enrolled with another endorsement key")
        state = hosts.lock_state(session, name, now)
        state.held, state.failed, state.since = False, "[]", now
        hosts.touch(session, state)
        events.add(session, "host-approved", f"approved by {who(by)}", now=now, host=name)

    database.write(work)


def revoke(database: Database, name: str, now: datetime, by: str = "", reason: str = "") -> None:
    """End a host's lease now and hold it.

    :param by: who decides, for the events.
    :param reason: why, for whoever asks later.
    :raises HostUnknown: it is not enrolled.
    """
    why = f": {printable(reason[:_LONGEST_REASON])}" if reason else ""
    revoked = replace(_REVOKED, reason=f"{_REVOKED.reason}{why}")

    def work(session: Session) -> None:
        _find(session, name)
        state = hosts.lock_state(session, name, now)
        standing.withdraw(session, state, [revoked], now, why="revoked", hold=True)
        events.add(session, "host-revoked", f"revoked by {who(by)}{why}", now=now, host=name)

    database.write(work)


def remove(database: Database, name: str, now: datetime, by: str = "") -> None:
    """Forget a host's keys; schedulers hear that it is untrusted.

    :param by: who decides, for the events.
    :raises HostUnknown: it is not enrolled.
    """

    database.write(lambda s: forget(s, name, now, by))


def forget(session: Session, name: str, now: datetime, by: str = "") -> None:
    """:func:`remove` as a part of what the caller does."""
    _find(session, name)
    state = hosts.lock_state(session, name, now)
    standing.withdraw(session, state, [], now, why="removed", hold=False)
    state.held = False
    hosts.remove(session, name)
    events.add(session, "host-removed", f"removed by {who(by)}", now=now, host=name)


def who(by: str) -> str:
    """Return the words for who decided."""
    return f"an operator ({by})" if by else "an operator"


def _find(session: Session, name: str) -> Host:
    found = hosts.find(session, name)
    if found is None:
        raise HostUnknown(
            "no such host is enrolled", remedy="e2etrust-manage host list shows all there are"
        )
    return found


def _standing(record: Host, state: HostState | None, now: datetime) -> Standing:
    word = standing.word(state, now)
    if state is None:
        return Standing(record, word, 0.0, None, [])
    seconds, failed = standing.seconds_left(state, now), standing.failed_checks(state)
    level = standing.level(state, now)
    return Standing(record, word, seconds, state.since, failed, level)
