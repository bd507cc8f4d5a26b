# SPDX-License-Identifier: Apache-2.0
"""No way back to an older policy, but by an operator's word.

All workers share one memory of the highest version of each policy, by its name.  One whose
directory is behind refuses until it is brought up to date: what a newer policy took away does not
come back by way of an old file, a restored backup or a worker that was forgotten.  Nor by way of
another name: what a host was judged by is remembered with the host.
"""

from __future__ import annotations

from datetime import datetime

from oslo_db import exception as db_exc
from sqlalchemy.orm import Session

from e2etrust_core.appraisal.model import HostPolicy
from e2etrust_verifier.db import events, hosts, policy_versions
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.db.models import HostState, PolicyVersion
from e2etrust_verifier.trust import operator
from e2etrust_verifier.trust.errors import PolicyAltered, PolicyRolledBack, TrustError


def known(session: Session, policy: HostPolicy) -> PolicyVersion | None:
    """Return what was applied before under the name of *policy*."""
    return policy_versions.find(session, policy.name)


def admit(
    database: Database, policy: HostPolicy, known: PolicyVersion | None, now: datetime
) -> None:
    """Let *policy* be applied, and remember it where it is newer than all before.

    :param known: what was applied before, see :func:`known`.
    :raises PolicyRolledBack: a newer version was applied before, or one that had a version.
    :raises PolicyAltered: it is another than what was applied under this version.
    """
    if not _is_newer(policy, known):
        return
    try:
        database.write(lambda s: _remember(s, policy, known, now))
    except db_exc.DBDuplicateEntry:
        pass
    # Another worker may have been faster, with something else.
    found = database.read(lambda s: policy_versions.find(s, policy.name))
    _is_newer(policy, found)


def check_floor(policy: HostPolicy, host: str, floor: int | None) -> None:
    """See that *host* was not judged by a newer policy before, whatever that was called.

    :param floor: the highest version of any policy that it was judged by.
    :raises PolicyRolledBack: it was.
    """
    if floor is not None and (policy.version is None or policy.version < floor):
        raise PolicyRolledBack(
            f"policy {policy.name} {_version(policy.version)} is older than version {floor}, of"
            f" whatever name, that host {host} was judged by before",
            remedy="number policies on when they are renamed or divided; to have this one count"
            " as it is: e2etrust-manage policy accept FILE",
        )


def raise_floor(state: HostState, policy: HostPolicy) -> None:
    """Remember what a host is judged by."""
    if policy.version is not None:
        state.policy_floor = max(state.policy_floor or 0, policy.version)


def accept(database: Database, policy: HostPolicy, now: datetime, by: str = "") -> None:
    """Let *policy* be the one that counts: an operator's explicit act, also to go back.

    One without a version forgets that there ever was one.  Hosts that it matches may be judged by
    it, whatever they were judged by before.
    """

    def work(session: Session) -> None:
        if policy.version is None:
            policy_versions.remove(session, policy.name)
        else:
            policy_versions.put(session, policy.name, policy.version, policy.edition, now)
        floors = hosts.policy_floors(session)
        lowered = [
            name
            for name, floor in floors.items()
            if floor > (policy.version or 0) and policy.speaks_of(name)
        ]
        hosts.lower_policy_floors(session, lowered, policy.version)
        told = (
            f"{operator.who(by)} accepts policy {policy.name} {_version(policy.version)} as it is"
        )
        events.add(session, "policy-accepted", told, now=now)

    database.write(work)


def refusal_of(policy: HostPolicy, known: PolicyVersion | None) -> TrustError | None:
    """Return why *policy* would not be let, where *known* is what was applied; None: it would."""
    try:
        _is_newer(policy, known)
    except (PolicyRolledBack, PolicyAltered) as exc:
        return exc
    return None


def _is_newer(policy: HostPolicy, known: PolicyVersion | None) -> bool:
    if known is None:
        return policy.version is not None
    if policy.version is None or policy.version < known.version:
        raise PolicyRolledBack(
            f"policy {policy.name} {_version(policy.version)} is older than version"
            f" {known.version}, which was applied before"
        )
    if policy.version == known.version and policy.edition != known.edition:
        raise PolicyAltered(
            f"policy {policy.name} version {policy.version} is another than what was applied"
            " under this number"
        )
    return policy.version > known.version


def _remember(
    session: Session, policy: HostPolicy, known: PolicyVersion | None, now: datetime
) -> None:
    if policy.version is None:
        return
    told = f"policy {policy.name} {_version(policy.version)} is applied"
    what = policy.name, policy.version, policy.edition, now
    if known is None:
        policy_versions.add(session, *what)
    elif not policy_versions.climb(session, *what):
        return
    events.add(session, "policy-applied", told, now=now)


def _version(version: int | None) -> str:
    return "without a version" if version is None else f"version {version}"
