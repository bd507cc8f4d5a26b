# SPDX-License-Identifier: Apache-2.0
"""What flavor, image and aggregates ask of a host, as the least level that its lease must have.

:data:`NOTHING` asks nothing, :data:`UNREADABLE` is beyond every level.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Collection, Iterable, Mapping

from nova import objects
from nova.objects import request_spec
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


def demands_of_aggregates(hosts: Iterable[host_manager.HostState]) -> dict[objects.Aggregate, int]:
    """Return each aggregate of *hosts* that asks something of its hosts -> the least level.

    Nova's host manager has one object an aggregate: each is read once and not for each host, but in
    every request, so that what an operator changed counts at once.
    """
    # No line of Python is run for each host: this is what a request that asks nothing costs.
    there = set(itertools.chain.from_iterable(map(_AGGREGATES, hosts)))
    asked = {one: _demand_of_aggregate(one) for one in there}
    return {one: level for one, level in asked.items() if level}


def _demand_of_aggregate(aggregate: objects.Aggregate) -> int:
    # Its traits are Nova's own affair (isolated aggregates): they say who may come.
    metadata = aggregate.metadata if "metadata" in aggregate else {}
    asked = (level_of_spec(key, value) for key, value in metadata.items() if is_ours(key))
    return max(asked, default=NOTHING)
