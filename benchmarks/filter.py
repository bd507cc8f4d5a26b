# SPDX-License-Identifier: Apache-2.0
"""Time per host of TrustedHostFilter against Nova's ComputeFilter, in one run.

Both go over the same 10,000 real HostState objects through Nova's own filter handler, in
interleaved rounds.  Ratios are medians of rounds; with --json the last line is one object: the
figure that is worst against its goal, and all of them with both sides in microseconds a host.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
import tracemalloc
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass

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
    times: dict[str, list[float]] = {name: [] for name in [*sides, "compute"]}
    plain = request({})
    if len(handler.get_filtered_objects([compute], states, plain)) != HOSTS:
        sys.exit("ComputeFilter refuses hosts that are up")
    for _ in range(ROUNDS):
        times["compute"].append(
            timed(lambda: handler.get_filtered_objects([compute], states, plain))
        )
        for name, (_leased, spec, _goal) in sides.items():
            times[name].append(
                timed(
                    lambda n=name, s=spec: handler.get_filtered_objects([ours[n]], states, s)  # type: ignore[misc]
                )
            )
    base = statistics.median(times["compute"])
    figures = []
    for name, (_leased, _spec, goal) in sides.items():
        side = statistics.median(times[name])
        ratio = side / base
        figures.append(
            Figure(name, round(ratio, 3), goal, ratio <= goal, round(side, 3), round(base, 3))
        )
    return figures


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
    for figure in figures:
        print(
            f"{figure.name:28} {figure.ratio:6.3f} of ComputeFilter (goal <= {figure.goal}): "
            f"{figure.ours_us_per_host} us against {figure.compute_filter_us_per_host} us a "
            f"host: {'holds' if figure.holds else 'MISSED'}"
        )
    held = round(view_bytes_per_host())
    print(f"view: {held} bytes a host")
    if arguments.json:
        worst = max(figures, key=lambda one: one.ratio / one.goal)
        told = {"view_bytes_per_host": held, "figures": [asdict(one) for one in figures]}
        print(json.dumps({**asdict(worst), "name": "filter", **told}))
    return 0 if all(figure.holds for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
