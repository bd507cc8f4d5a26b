# SPDX-License-Identifier: Apache-2.0
"""What flavor, image and aggregates ask of a host, as the least level that its lease must have.

:data:`NOTHING` asks nothing, :data:`UNREADABLE` is beyond every level.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Collection, Mapping

from nova.objects import aggregate, request_spec
from nova.scheduler import host_manager

from e2etrust_core.trust_names import (
    NOTHING,
    is_ours,
    level_of_spec,
    level_of_trait,
)

_AGGREGATES = operator.attrgetter("aggregates")


def demand_of(extra_specs: Mapping[str, str], image_traits: Collection[str] = ()) -> int:
    """Return the least level that a flavor's extra specs and an image's required traits ask."""
    asked = [level_of_spec(key, value) for key, value in extra_specs.items()]
    asked += [level_of_trait(trait) for trait in image_traits]
    return max(asked, default=NOTHING)


def demand_of_request(spec_obj: request_spec.RequestSpec) -> int:
    """Return the least level that the flavor and the image of a request ask."""
    extra_specs = spec_obj.flavor.extra_specs if "extra_specs" in spec_obj.flavor else {}
    traits: Collection[str] = ()
    if "image" in spec_obj and spec_obj.image and "properties" in spec_obj.image:
        # Nova drops image properties it does not know; required traits survive.
        traits = spec_obj.image.properties.get("traits_required") or ()
    return demand_of(extra_specs or {}, traits)


class LevelsAsked(dict[tuple[aggregate.Aggregate, ...], int]):
    """A host's aggregates -> the least level that they and the request ask of it.

    Of one request, so that what an operator changed counts at the next.  Nova's host manager has
    one object an aggregate, and hosts share sets of them: each is read once, not for each host.

    :param demand: what the request itself asks.
    """

    def __init__(self, demand: int) -> None:
        super().__init__()
        self.demand = demand
        self._of_aggregate: dict[aggregate.Aggregate, int] = {}

    def of(self, hosts: Collection[host_manager.HostState]) -> list[int]:
        """Return the level of each of *hosts*; none of them where nothing is asked of any."""
        # No line of Python is run for each host: this is what a request that asks nothing costs.
        there = set(itertools.chain.from_iterable(map(_AGGREGATES, hosts)))
        for one in there.difference(self._of_aggregate):
            self._of_aggregate[one] = _demand_of_aggregate(one)
        if max(map(self._of_aggregate.__getitem__, there), default=NOTHING) > self.demand:
            return list(map(self.__getitem__, map(tuple, map(_AGGREGATES, hosts))))
        return [self.demand] * len(hosts) if self.demand else []

    def __missing__(self, aggregates: tuple[aggregate.Aggregate, ...]) -> int:
        level = max([self.demand, *map(self._of_aggregate.__getitem__, aggregates)])
        self[aggregates] = level
        return level


def _demand_of_aggregate(one: aggregate.Aggregate) -> int:
    # Its traits are Nova's own affair (isolated aggregates): they say who may come.
    metadata = one.metadata if "metadata" in one else {}
    asked = (level_of_spec(key, value) for key, value in metadata.items() if is_ours(key))
    return max(asked, default=NOTHING)
