# SPDX-License-Identifier: Apache-2.0
"""What the database holds that this release cannot use, and who still works by an older one.

And whether what workers read there is of now.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from e2etrust_core.suites import SUITES
from e2etrust_verifier.db import challenge_keys, events, galera, hosts, workers
from e2etrust_verifier.trust import standing
from e2etrust_verifier.trust.challenge_keys import DRAWS_FOR, SECRET_SIZE
from e2etrust_verifier.trust.errors import ReportUnproven

_LATELY = timedelta(days=1)
_LOOKED_AT, _NAMED = 1000, 5
#: Longer than that no housekeeping lets a key of challenges lie.
_KEYS_LIE = timedelta(hours=2)


def old_workers(session: Session, now: datetime) -> list[str]:
    """Workers that know another schema are of another release."""
    number = workers.count_of_other_releases(session, now)
    if not number:
        return []
    return [f"{number} e2etrust-verifier of another release run: restart them with this one"]


def old_reads(session: Session, _now: datetime) -> list[str]:
    """Nodes of a Galera cluster tell what they have come to apply, unless they are to wait."""
    if not galera.reads_what_is_old(session):
        return []
    return [
        "nodes of Galera answer without waiting for the others, and so of leases that are over:"
        " leave out [database] mysql_wsrep_sync_wait"
    ]


def old_agents(session: Session, now: datetime) -> list[str]:
    """Agents that do not sign their reports are older than this release takes reports from."""
    refused = events.newest(session, _LOOKED_AT, "report-refused")
    names = {
        one.host
        for one in refused
        if one.host and one.at > now - _LATELY and one.message.startswith(ReportUnproven.code)
    }
    told = _of(names, "do not sign their reports: upgrade e2etrust-agent there to this release")
    return [told] if told else []


def unusable_hosts(session: Session, _now: datetime) -> list[str]:
    """Hosts whose record or state this release cannot read."""
    unknown = {host.name for host in hosts.with_other_suites(session, SUITES)}
    told = [_of(unknown, "have a suite that this release does not know: enrol them anew")]
    failed = hosts.failed_states(session)
    unread = {one.host for one in failed if standing.failed_checks(one) == [standing.UNREADABLE]}
    told.append(_of(unread, "have a state that cannot be read: let them attest again"))
    return [one for one in told if one]


def shared_tpms(session: Session, _now: datetime) -> list[str]:
    """Hosts with a TPM that an older record is of."""
    told = "have the TPM of another host: see which name is the machine's, delete the others"
    found = _of(set(hosts.with_shared_keys(session)), told)
    return [found] if found else []


def unpinning_hosts(session: Session, _now: datetime) -> list[str]:
    """Hosts whose agents know the verifier by no key."""
    told = "take any answer for the verifier's: set [agent] verifier_keys there"
    found = _of(set(hosts.pinning_no_keys(session)), told)
    return [found] if found else []


def wrong_challenge_keys(session: Session, now: datetime) -> list[str]:
    told = []
    for key in challenge_keys.everyone(session):
        if len(key.secret) != SECRET_SIZE:
            told.append(f"challenge key {key.id} is none: delete its row, workers make another")
        elif key.made_at > now + DRAWS_FOR:
            told.append(f"challenge key {key.id} is of the future: set the verifiers' clocks right")
        elif key.made_at < now - _KEYS_LIE:
            told.append(
                f"challenge key {key.id} lies since {key.made_at:%Y-%m-%d %H:%M} UTC: no"
                " e2etrust-verifier keeps house; start one"
            )
    return told


def _of(names: set[str], told: str) -> str:
    if not names:
        return ""
    some = ", ".join(sorted(names)[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
    return f"{len(names)} hosts ({some}) {told}"
