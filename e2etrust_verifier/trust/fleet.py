# SPDX-License-Identifier: Apache-2.0
"""The fleet in numbers: for metrics, for the API and for its page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import get_args

from sqlalchemy.orm import Session

from e2etrust_verifier.db import hosts, launches, workers
from e2etrust_verifier.trust import standing


@dataclass(frozen=True, slots=True)
class Fleet:
    """``by_state`` has every word of :data:`.standing.StandingWord`; moments are None where there
    was none.  ``workers`` are the e2etrust-verifier processes that were seen lately."""

    by_state: dict[standing.StandingWord, int]
    oldest_attestation: datetime | None
    last_verdict: datetime | None
    started_servers: int
    workers: int


def measure(session: Session, now: datetime) -> Fleet:
    """Count; each number is one query, however many hosts there are."""
    counted = hosts.count_by(session, standing.word_of_row(now))
    return Fleet(
        {word: counted.get(word, 0) for word in get_args(standing.StandingWord)},
        hosts.oldest_attestation(session),
        hosts.newest_attestation(session),
        launches.count_started(session),
        workers.count_alive(session, now),
    )
