# SPDX-License-Identifier: Apache-2.0
"""FreshnessWeigher on Nova's own HostState, RequestSpec and weight handler."""

from __future__ import annotations

import pytest
from nova import objects
from nova.scheduler import host_manager, weights

from e2etrust_core.appraisal.model import CheckResult
from e2etrust_core.messages import HostTrust, LeaseDelta
from e2etrust_nova.scheduler import weighers
from e2etrust_nova.scheduler.weighers import FreshnessWeigher

FAILED = CheckResult("clock", "fail", "went back", "CLOCK_WENT_BACK")
LEASES = [HostTrust("short", 5.0), HostTrust("long", 60.0), HostTrust("bad", 0.0, [FAILED])]


@pytest.fixture(scope="module", autouse=True)
def nova_objects() -> None:
    objects.register_all()


@pytest.fixture
def asked(monkeypatch) -> list[int]:
    """The questions that reached the verifier."""
    questions: list[int] = []

    class Verifier:
        def lease_delta(self, since: int) -> LeaseDelta:
            questions.append(since)
            return LeaseDelta(7, True, LEASES)

    monkeypatch.setattr(weighers, "verifier_client", lambda *_args, **_kwargs: Verifier())
    return questions


def hosts(*names: str, metadata: dict[str, str] | None = None) -> list[host_manager.HostState]:
    made = [host_manager.HostState(name, name, "cell") for name in names]
    for state in made:
        aggregate = objects.Aggregate(metadata=metadata or {})
        state.aggregates = [aggregate]
    return made


def spec(**extra_specs: str) -> objects.RequestSpec:
    return objects.RequestSpec(flavor=objects.Flavor(extra_specs=extra_specs))


TRUSTED = {"trust:trusted_host": "trusted"}


def order(states, request) -> list[str]:
    handler = weights.HostWeightHandler()
    found = handler.get_weighed_objects([FreshnessWeigher()], states, request)
    return [one.obj.host for one in found]


def test_host_whose_lease_lasts_longest_comes_first(asked):
    found = order(hosts("bad", "unknown", "short", "long"), spec(**TRUSTED))
    assert found[:2] == ["long", "short"]
    assert asked == [0]


def test_server_that_asks_nothing_is_not_weighed_and_asks_nobody(asked):
    states = hosts("short", "long")
    weighed = [weights.WeighedHost(state, 1.0) for state in states]
    assert FreshnessWeigher().weigh_objects(weighed, spec()) == [0.0, 0.0]
    assert asked == []


def test_weight_is_the_seconds_that_are_left(asked):
    weigher = FreshnessWeigher()
    (state,) = hosts("long")
    assert 50 < weigher._weigh_object(state, spec(**TRUSTED)) <= 60
    (state,) = hosts("bad")
    assert weigher._weigh_object(state, spec(**TRUSTED)) == 0.0


def test_aggregate_may_set_the_multiplier(asked):
    name = "e2etrust_freshness_weight_multiplier"
    (plain,), (turned,) = hosts("long"), hosts("long", metadata={name: "-2.5"})
    weigher = FreshnessWeigher()
    assert (weigher.weight_multiplier(plain), weigher.weight_multiplier(turned)) == (1.0, -2.5)
    states = hosts("short", "long", metadata={name: "-1"})
    assert order(states, spec(**TRUSTED)) == ["short", "long"]


def test_nova_finds_it_by_its_name(asked):
    handler = weights.HostWeightHandler()
    name = "e2etrust_nova.scheduler.weighers.FreshnessWeigher"
    assert handler.get_matching_classes([name]) == [FreshnessWeigher]
