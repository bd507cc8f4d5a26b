# SPDX-License-Identifier: Apache-2.0
"""Time per host of TrustedHostFilter against Nova's ComputeFilter, in one run.

Both go over the same 10,000 real HostState objects, in interleaved rounds: the filters alone, and
through Nova's filter handler, which adds a time of its own to both (``ratio_in_handler``).  Ratios
are medians of rounds; with --json the last line is one object: the figure that is worst against its
goal, and all of them with both sides in microseconds a host.
"""

from __future__ import annotations

import argparse
import collections
import functools
import gc
import json
import statistics
import sys
import time
import tracemalloc
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

warnings.simplefilter("ignore", DeprecationWarning)

from nova import objects  # noqa: E402
from nova import utils as nova_utils  # noqa: E402
from nova.scheduler import filters as nova_filters  # noqa: E402
from nova.scheduler import host_manager  # noqa: E402
from nova.scheduler.filters import compute_filter  # noqa: E402
from oslo_utils import timeutils  # noqa: E402

from e2etrust_core.messages import HostTrust, LeaseDelta  # noqa: E402
from e2etrust_nova.scheduler import filters  # noqa: E402
from e2etrust_nova.scheduler.view import LeaseView  # noqa: E402

HOSTS = 10_000
ROUNDS = 31


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
    """Answers where the message bus would: first all hosts, then what an idle second brings."""

    def __init__(self, leased: int) -> None:
        self._all = [HostTrust(f"host{i}", 3600.0) for i in range(leased)]

    def lease_delta(self, since: int) -> LeaseDelta:
        if since == 0:
            return LeaseDelta(1, True, self._all)
        return LeaseDelta(since + 1, False, [HostTrust("host1", 3600.0)])


def host_states() -> list[host_manager.HostState]:
    states = []
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
        state.update(service=dict(service))
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
    began = time.perf_counter()
    run()
    return (time.perf_counter() - began) / HOSTS * 1e6


def measure() -> list[Figure]:
    states = host_states()
    handler = nova_filters.HostFilterHandler()
    compute = compute_filter.ComputeFilter()
    sides = {
        "filter": (HOSTS, request({"trust:trusted_host": "trusted"}), 0.25),
        "filter-one-in-ten-refused": (
            HOSTS * 9 // 10,
            request({"trust:trusted_host": "trusted"}),
            0.25,
        ),
        "filter-asks-nothing": (HOSTS, request({}), 0.1),
    }
    ours: dict[str, filters.TrustedHostFilter] = {}
    passed: dict[str, int] = {}
    for name, (leased, spec, _goal) in sides.items():
        verifier = LeasingVerifier(leased)
        filters.VerifierClient = lambda *_a, _v=verifier, **_k: _v  # type: ignore[misc,assignment]
        ours[name] = filters.TrustedHostFilter()
        passed[name] = len(handler.get_filtered_objects([ours[name]], states, spec))
    if passed["filter"] != HOSTS or passed["filter-one-in-ten-refused"] != HOSTS * 9 // 10:
        sys.exit(f"the filters do not what they should: {passed}")
    times: dict[Any, list[float]] = collections.defaultdict(list)
    plain = request({})
    if len(handler.get_filtered_objects([compute], states, plain)) != HOSTS:
        sys.exit("ComputeFilter refuses hosts that are up")
    compared = {"compute": (compute, plain)}
    compared |= {name: (ours[name], spec) for name, (_leased, spec, _goal) in sides.items()}
    for _ in range(ROUNDS):
        for name, (one, spec) in compared.items():
            alone = functools.partial(one.filter_all, states, spec)
            times[name].append(timed(lambda run=alone: list(run())))  # type: ignore[misc]
            handled = functools.partial(handler.get_filtered_objects, [one], states, spec)
            times[name, "handler"].append(timed(handled))
    middle = {key: statistics.median(found) for key, found in times.items()}
    return [
        figure(name, middle[name], middle["compute"], handled_ratio(middle, name), goal)
        for name, (_leased, _spec, goal) in sides.items()
    ]


def handled_ratio(middle: dict[Any, float], name: str) -> float:
    return round(middle[name, "handler"] / middle["compute", "handler"], 3)


def figure(name: str, side: float, base: float, handled: float, goal: float) -> Figure:
    ratio = side / base
    return Figure(
        name, round(ratio, 3), handled, goal, ratio <= goal, round(side, 3), round(base, 3)
    )


def view_bytes_per_host() -> float:
    """Return what one view holds for a host, in bytes, its names included."""
    tracemalloc.start()
    view = LeaseView(LeasingVerifier(HOSTS).lease_delta, retry_interval=1.0)
    view.refresh()
    gc.collect()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return held / HOSTS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    arguments = parser.parse_args()
    objects.register_all()
    nova_utils.CONF([], project="nova", default_config_files=[])
    figures = measure()
    for one in figures:
        print(
            f"{one.name:28} {one.ratio:6.3f} of ComputeFilter (goal <= {one.goal}): "
            f"{one.ours_us_per_host} us against {one.compute_filter_us_per_host} us a "
            f"host ({one.ratio_in_handler} in the handler): "
            f"{'holds' if one.holds else 'MISSED'}"
        )
    held = round(view_bytes_per_host())
    print(f"view: {held} bytes a host")
    if arguments.json:
        worst = max(figures, key=lambda one: one.ratio / one.goal)
        told = {"view_bytes_per_host": held, "figures": [asdict(one) for one in figures]}
        print(json.dumps({**asdict(worst), "name": "filter", **told}))
    return 0 if all(one.holds for one in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
