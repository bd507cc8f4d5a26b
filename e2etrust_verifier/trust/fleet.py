# SPDX-License-Identifier: Apache-2.0
"""The fleet in numbers: for metrics, for the API and for its page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from e2etrust_core.appraisal.model import CheckResult
from e2etrust_verifier.db import hosts, launches, workers
from e2etrust_verifier.db.hosts import Tally
from e2etrust_verifier.trust import standing

_RED: tuple[standing.StandingWord, ...] = ("untrusted", "held")
#: So many reasons are told, those of most hosts first.
_MOST = 50


@dataclass(frozen=True, slots=True)
class Fleet:
    """``by_state`` has every word of :data:`.standing.StandingWord`; moments are None where there
    was none.  ``workers`` are the e2etrust-verifier processes that were seen lately; ``red`` says
    how many hosts failed why, those of most hosts first."""

    by_state: dict[standing.StandingWord, int]
    oldest_attestation: datetime | None
    last_verdict: datetime | None
    started_servers: int
    workers: int
    red: list[Tally]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why red hosts are so: they failed by the same ``policy`` with the same ``code`` first, None
    where they wait for an operator and failed nothing.

    ``held`` of the ``hosts`` wait for an operator; the first of them stands so ``since``, the last
    since the ``latest`` moment; ``check`` is what the ``example`` failed.
    """

    code: str | None
    policy: str | None
    hosts: int
    held: int
    since: datetime
    latest: datetime
    example: str
    check: CheckResult


def measure(session: Session, now: datetime) -> Fleet:
    """Count: two passes over the states, and none over records, which hold certificates."""
    word = standing.word_of_row(now)
    found = hosts.attested(session, word == "trusted")
    red = hosts.tally(session, word.in_(_RED))
    told, held = found.number + sum(one.hosts for one in red), sum(one.held for one in red)
    return Fleet(
        {
            "trusted": found.number,
            "untrusted": told - found.number - held,
            "held": held,
            # Of hosts that were removed there are states too: of these words they have none else.
            "unknown": max(hosts.count(session) - told, 0),
        },
        found.oldest,
        found.newest,
        launches.count_started(session),
        workers.count_alive(session, now),
        red,
    )


def reasons(session: Session, fleet: Fleet) -> list[Reason]:
    """Return why hosts are red, the reason of most hosts first."""
    found = fleet.red[:_MOST]
    states = hosts.several_states(session, (one.example for one in found))
    return [
        Reason(
            one.code,
            one.policy,
            one.hosts,
            one.held,
            one.since,
            one.latest,
            one.example,
            next(iter(standing.failed_checks(states[one.example])), standing.HELD),
        )
        for one in found
    ]
