# SPDX-License-Identifier: Apache-2.0
"""Time per host of TrustedHostFilter against Nova's ComputeFilter, in one run.

Both go over 10,000 real HostState objects in three aggregates each, in interleaved rounds: the
filters alone, and through Nova's filter handler, which adds a time of its own to both
(``ratio_in_handler``).  What is refused is logged as by Nova's services, at INFO.  Times are of the
processor, ratios are medians of rounds; with --json the last line is one object: the figure that
is worst against its goal, and all of them with both sides in microseconds a host.  Beside them, and
without a goal: FreshnessWeigher against Nova's RAMWeigher over the same hosts, and the bytes a
host that a view holds.
"""

from __future__ import annotations

import argparse
import collections
import functools
import gc
import json
import logging
import os
import statistics
import sys
import time
import tracemalloc
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any
from unittest import mock

warnings.simplefilter("ignore", DeprecationWarning)

from nova import objects  # noqa: E402
from nova import utils as nova_utils  # noqa: E402
from nova.scheduler import filters as nova_filters  # noqa: E402
from nova.scheduler import host_manager, weights  # noqa: E402
from nova.scheduler.filters import compute_filter  # noqa: E402
from nova.scheduler.weights import ram  # noqa: E402
from oslo_utils import timeutils  # noqa: E402

from e2etrust_core import wire  # noqa: E402
from e2etrust_core.appraisal.model import CheckResult  # noqa: E402
from e2etrust_core.messages import HostTrust, LeaseDelta  # noqa: E402
from e2etrust_nova.scheduler import filters, weighers  # noqa: E402
from e2etrust_nova.scheduler.view import LeaseView  # noqa: E402

HOSTS = 10_000
#: What the memory of a view is measured with.
VIEW_HOSTS = 100_000
ROUNDS = 31
#: What every lease has, and what is asked where a level is.
LEVEL = 3


@dataclass(frozen=True)
class Figure:
    """One line of the answer."""

    name: str
    ratio: float
    ratio_in_handler: float
    goal: float
    holds: bool
    ours_us_per_host: float
    compute_filter_us_per_host: float


class LeasingVerifier:
    """Answers where the message bus would: first all hosts, then what an idle second brings.

    :param leased: so many hosts hold a lease.
    :param failed: the ones behind them did, and failed a check.
    """

    def __init__(self, leased: int, failed: int = 0) -> None:
        hosts = [HostTrust(f"host{i}", 3600.0, level=LEVEL) for i in range(leased)]
        for i in range(leased, leased + failed):
            reason = f"sha256:10 is not what host{i}'s policy accepts"
            check = CheckResult("pcr-policy", "fail", reason, "PCR_MISMATCH", "look at the host")
            hosts.append(HostTrust(f"host{i}", 0.0, [check]))
        self._all = as_received(LeaseDelta(1, True, hosts))
        self._idle = as_received(LeaseDelta(1, False, hosts[1:2]))

    def lease_delta(self, since: int) -> LeaseDelta:
        return replace(self._idle, generation=since + 1) if since else self._all


def as_received(delta: LeaseDelta) -> LeaseDelta:
    """Return *delta* with strings and numbers of its own, as the message bus brings them."""
    return wire.from_dict(LeaseDelta, json.loads(json.dumps(wire.to_dict(delta))))


def answering(leased: int, failed: int) -> Callable[..., LeasingVerifier]:
    """Return what makes the client of a verifier of such hosts."""
    verifier = LeasingVerifier(leased, failed)
    return lambda *_args, **_kwargs: verifier


def host_states(asking: int = 0) -> list[host_manager.HostState]:
    """Return the hosts, each in three aggregates of a hundred, of which *asking* ask for trust.

    Availability zones are aggregates: hosts without any are rare.
    """
    states = []
    aggregates = [objects.Aggregate(metadata={"availability_zone": f"{n}"}) for n in range(100)]
    for one in aggregates[:asking]:
        one.metadata["trust:min_level"] = f"{LEVEL}"
    now = timeutils.utcnow(with_timezone=True)
    for number in range(HOSTS):
        state = host_manager.HostState(f"host{number}", f"host{number}", "cell1")
        # As the scheduler does it: the service object's fields, with their aware times.
        service = objects.Service(
            host=f"host{number}",
            topic="compute",
            disabled=False,
            forced_down=False,
            last_seen_up=now,
            created_at=now,
            updated_at=now,
        )
        around = [aggregates[(number + step) % len(aggregates)] for step in (0, 7, 31)]
        state.update(service=dict(service), aggregates=around)
        states.append(state)
    return states


def request(extra_specs: dict[str, str]) -> objects.RequestSpec:
    return objects.RequestSpec(
        flavor=objects.Flavor(extra_specs=extra_specs),
        image=objects.ImageMeta.from_dict({"properties": {}}),
        instance_uuid="7e9b2d4e-5a8a-4f0c-9a1e-0f2f3c4d5e6f",
    )


def timed(run: Callable[[], object]) -> float:
    gc.collect()
    began = time.process_time()
    run()
    return (time.process_time() - began) / HOSTS * 1e6


@dataclass(frozen=True)
class Side:
    """What a filter of ours is asked, over which hosts, and how many of them may pass."""

    leased: int
    spec: objects.RequestSpec
    goal: float
    states: list[host_manager.HostState]
    passes: int = HOSTS
    failed: int = 0


def sides() -> dict[str, Side]:
    states, asking, all_asking = host_states(), host_states(asking=1), host_states(asking=100)
    trusted = request({"trust:trusted_host": "trusted"})
    level = request({"trust:min_level": f"{LEVEL}"})
    most = HOSTS * 9 // 10
    return {
        "filter": Side(HOSTS, trusted, 0.25, states),
        "filter-one-in-ten-refused": Side(most, trusted, 0.25, states, most),
        "filter-all-refused": Side(0, trusted, 0.25, states, 0),
        "filter-all-failed": Side(0, trusted, 0.25, states, 0, failed=HOSTS),
        "filter-min-level": Side(HOSTS, level, 0.25, states),
        "filter-aggregates-ask": Side(HOSTS, request({}), 0.25, asking),
        "filter-all-aggregates-ask": Side(HOSTS, request({}), 0.25, all_asking),
        "filter-both-ask": Side(HOSTS, trusted, 0.25, asking),
        "filter-asks-nothing": Side(HOSTS, request({}), 0.1, states),
    }


def measure() -> list[Figure]:
    handler = nova_filters.HostFilterHandler()
    compute = compute_filter.ComputeFilter()
    asked = sides()
    plain = asked["filter-asks-nothing"]
    compared: dict[str, tuple[Any, Side]] = {"compute": (compute, plain)}
    if len(handler.get_filtered_objects([compute], plain.states, plain.spec)) != HOSTS:
        sys.exit("ComputeFilter refuses hosts that are up")
    for name, side in asked.items():
        one = filters.TrustedHostFilter()
        compared[name] = (one, side)
        # It makes its connection with the first request.
        with mock.patch.object(filters, "verifier_client", answering(side.leased, side.failed)):
            passed = len(handler.get_filtered_objects([one], side.states, side.spec))
        if passed != side.passes:
            sys.exit(f"{name} does not what it should: {passed} of {side.passes} pass")
    times: dict[Any, list[float]] = collections.defaultdict(list)
    # What is there by now stays: to go over it before each of the rounds takes minutes.
    gc.collect()
    gc.freeze()
    for _ in range(ROUNDS):
        for name, (one, side) in compared.items():
            alone = functools.partial(one.filter_all, side.states, side.spec)
            times[name].append(timed(lambda run=alone: list(run())))  # type: ignore[misc]
            handled = functools.partial(handler.get_filtered_objects, [one], side.states, side.spec)
            times[name, "handler"].append(timed(handled))
    if len(list(compute.filter_all(plain.states, plain.spec))) != HOSTS:
        sys.exit("ComputeFilter refuses hosts that are up")
    return [figure(name, times, side.goal) for name, side in asked.items()]


def figure(name: str, times: dict[Any, list[float]], goal: float) -> Figure:
    ratio = median_ratio(times[name], times["compute"])
    handled = median_ratio(times[name, "handler"], times["compute", "handler"])
    middles = (round(statistics.median(times[one]), 3) for one in (name, "compute"))
    return Figure(name, ratio, handled, goal, ratio <= goal, *middles)


def median_ratio(side: list[float], base: list[float]) -> float:
    """Return the median of the rounds' ratios: a slow round was slow for both."""
    return round(statistics.median(a / b for a, b in zip(side, base, strict=True)), 3)


@dataclass(frozen=True)
class Weighing:
    """What a weigher takes for each host, beside Nova's own."""

    ratio: float
    ours_us_per_host: float
    ram_weigher_us_per_host: float


def measure_weigher() -> Weighing:
    spec = request({"trust:trusted_host": "trusted"})
    states = [weights.WeighedHost(state, 0.0) for state in host_states()]
    ours, nova = weighers.FreshnessWeigher(), ram.RAMWeigher()
    with mock.patch.object(weighers, "verifier_client", answering(HOSTS, 0)):
        shortest = min(ours.weigh_objects(states, spec))
    if shortest <= 0:
        sys.exit("FreshnessWeigher finds no lease where there is one")
    times: dict[str, list[float]] = collections.defaultdict(list)
    for _ in range(ROUNDS):
        times["ours"].append(timed(lambda: ours.weigh_objects(states, spec)))
        times["nova"].append(timed(lambda: nova.weigh_objects(states, spec)))
    middles = (round(statistics.median(times[one]), 3) for one in ("ours", "nova"))
    return Weighing(median_ratio(times["ours"], times["nova"]), *middles)


def view_bytes_per_host() -> float:
    """Return what one view holds for a host of level 3, in bytes, its name included."""
    tracemalloc.start()
    # The answer itself goes, as one from the message bus does.
    view = LeaseView(lambda _since: LeasingVerifier(VIEW_HOSTS).lease_delta(0), retry_interval=1.0)
    view.refresh()
    gc.collect()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return held / VIEW_HOSTS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    arguments = parser.parse_args()
    objects.register_all()
    nova_utils.CONF([], project="nova", default_config_files=[])
    # On a slow machine the hosts would be down for ComputeFilter before the last round.
    nova_utils.CONF.set_override("service_down_time", 24 * 3600)
    # As Nova's services log by default; what is written goes nowhere.
    logging.basicConfig(stream=open(os.devnull, "w"), level=logging.INFO)  # noqa: SIM115
    figures = measure()
    for one in figures:
        print(
            f"{one.name:25} {one.ratio:6.3f} of ComputeFilter (goal <= {one.goal}): "
            f"{one.ours_us_per_host} us against {one.compute_filter_us_per_host} us a "
            f"host ({one.ratio_in_handler} in the handler): "
            f"{'holds' if one.holds else 'MISSED'}"
        )
    weigher = measure_weigher()
    print(
        f"weigher: {weigher.ratio} of RAMWeigher: {weigher.ours_us_per_host} us against "
        f"{weigher.ram_weigher_us_per_host} us a host"
    )
    held = round(view_bytes_per_host())
    print(f"view: {held} bytes a host, of {VIEW_HOSTS}")
    if arguments.json:
        worst = max(figures, key=lambda one: one.ratio / one.goal)
        told = {"figures": [asdict(one) for one in figures]}
        told |= {"weigher": asdict(weigher), "view_bytes_per_host": held}
        print(json.dumps({**asdict(worst), "name": "filter", **told}))
    return 0 if all(one.holds for one in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
