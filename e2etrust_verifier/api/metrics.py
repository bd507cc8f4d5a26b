# SPDX-License-Identifier: Apache-2.0
"""``/metrics``: the fleet and the service in numbers, for Prometheus.

Numbers only, no host's name: like /healthcheck it asks for no token.  They are of the database, so
every worker tells the same; a verifier that stands still is seen by the age of the last verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import falcon
from prometheus_client import CollectorRegistry, exposition
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from sqlalchemy.orm import Session

from e2etrust_verifier.db import outbox, revocations, workers
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.trust import fleet as numbers
from e2etrust_verifier.trust.worker_policies import at_workers


@dataclass(frozen=True, slots=True)
class Fleet:
    """Moments in seconds since the epoch, 0 where there was none."""

    by_state: dict[str, int]
    oldest_attestation: float
    last_verdict: float
    started_servers: int
    workers: int
    last_worker: float
    waiting: dict[str, outbox.Waiting]
    revoked: int
    braked: bool
    policy_sets: int = 0


def measure(session: Session, now: datetime) -> Fleet:
    """Count; each number is one query, however many hosts there are."""
    found = numbers.measure(session, now)
    return Fleet(
        {str(word): count for word, count in found.by_state.items()},
        _seconds(found.oldest_attestation),
        _seconds(found.last_verdict),
        found.started_servers,
        found.workers,
        _seconds(workers.newest_moment(session)),
        outbox.waiting(session),
        revocations.count(session),
        revocations.braked(session),
        at_workers(session, now).sets,
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
        yield from _outbox(fleet.waiting)
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
            ("started_servers", "Servers that run under a launch", fleet.started_servers),
            ("workers", "e2etrust-verifier processes that were seen lately", fleet.workers),
            ("last_worker_timestamp_seconds", "When any of them was seen last", fleet.last_worker),
            ("revoked_hosts", "Hosts that Nova was asked to take out of use", fleet.revoked),
            ("policy_sets", "Different policy directories of workers", fleet.policy_sets),
            ("revocation_braked", "1 where too many hosts are due: look", float(fleet.braked)),
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


def _outbox(waiting: dict[str, outbox.Waiting]) -> Iterator[Metric]:
    number = GaugeMetricFamily(
        "e2etrust_outbox_waiting", "Events that wait to be told", labels=["destination"]
    )
    oldest = GaugeMetricFamily(
        "e2etrust_outbox_oldest_timestamp_seconds",
        "When the oldest of them happened",
        labels=["destination"],
    )
    for name, found in sorted(waiting.items()):
        number.add_metric([name or "unsorted"], found.number)
        oldest.add_metric([name or "unsorted"], found.oldest.timestamp())
    yield number
    yield oldest


def _seconds(moment: datetime | None) -> float:
    return 0.0 if moment is None else moment.timestamp()
