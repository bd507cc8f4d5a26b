# SPDX-License-Identifier: Apache-2.0
"""``/metrics``: the fleet and the service in numbers, for Prometheus.

Numbers only, no host's name: like /healthcheck it asks for no token.  They are of the database, so
every worker tells the same; a verifier that stands still is seen by the age of the last verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import get_args

import falcon
from prometheus_client import CollectorRegistry, exposition
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from sqlalchemy.orm import Session

from e2etrust_verifier.db import challenges, hosts, launches, verdicts
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.trust import standing


@dataclass(frozen=True, slots=True)
class Fleet:
    """Moments in seconds since the epoch, 0 where there was none."""

    by_state: dict[str, int]
    oldest_attestation: float
    last_verdict: float
    open_challenges: int
    started_servers: int


def measure(session: Session, now: datetime) -> Fleet:
    """Count; each number is one query, however many hosts there are."""
    counted = hosts.count_by(session, standing.word_of_row(now))
    return Fleet(
        {word: counted.get(word, 0) for word in get_args(standing.StandingWord)},
        _seconds(hosts.oldest_attestation(session)),
        _seconds(verdicts.newest_moment(session)),
        challenges.count_open(session, now),
        launches.count_started(session),
    )


class FleetCollector:
    """What prometheus_client asks for metrics."""

    def __init__(self, read: Callable[[], Fleet]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        fleet = self._read()
        states = GaugeMetricFamily(
            "e2etrust_hosts", "Enrolled hosts by how they stand", labels=["state"]
        )
        for word, number in fleet.by_state.items():
            states.add_metric([word], number)
        yield states
        for name, text, value in (
            (
                "oldest_attestation_timestamp_seconds",
                "When the host that attested longest ago did",
                fleet.oldest_attestation,
            ),
            (
                "last_verdict_timestamp_seconds",
                "When evidence was appraised last: alert where that is long ago",
                fleet.last_verdict,
            ),
            ("open_challenges", "Challenges that wait for their answer", fleet.open_challenges),
            ("started_servers", "Servers that run under a launch", fleet.started_servers),
        ):
            yield GaugeMetricFamily(f"e2etrust_{name}", text, value=value)


@dataclass(frozen=True)
class Metrics:
    database: Database

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        registry = CollectorRegistry()
        now = datetime.now(UTC)
        fleet = self.database.read(lambda s: measure(s, now))
        registry.register(FleetCollector(lambda: fleet))
        encoder, kind = exposition.choose_encoder(req.get_header("Accept") or "")
        resp.content_type, resp.data = kind, encoder(registry)


def _seconds(moment: datetime | None) -> float:
    return 0.0 if moment is None else moment.timestamp()
