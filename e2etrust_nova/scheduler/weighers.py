# SPDX-License-Identifier: Apache-2.0
"""The weigher that prefers hosts whose trust lasts longest.

Of two hosts that pass the filter, the one that attested later is less likely to have lost its lease
by the time that the server starts on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import nova.conf
from nova.objects import request_spec
from nova.scheduler import host_manager, weights
from nova.scheduler import utils as scheduler_utils

from e2etrust_nova.conf import scheduler as options
from e2etrust_nova.demand import demand_of_request
from e2etrust_nova.scheduler.process_view import ProcessViews
from e2etrust_nova.scheduler.verifier import verifier_client
from e2etrust_nova.scheduler.view import NEVER

MULTIPLIER = "e2etrust_freshness_weight_multiplier"


class FreshnessWeigher(weights.BaseHostWeigher):
    """Weighs a host by the seconds that its lease has left, where the server asks for trust.

    Of servers that ask nothing it says nothing, and asks nobody.
    """

    minval = 0.0

    def __init__(self) -> None:
        self._options = options.register(nova.conf.CONF)
        self._views = ProcessViews(self._options, self._source)

    def weight_multiplier(self, host_state: host_manager.HostState) -> float:
        """Return the multiplier, which an aggregate's metadata may set for its hosts."""
        default = self._options.freshness_weight_multiplier
        return float(scheduler_utils.get_weight_multiplier(host_state, MULTIPLIER, default))

    def weigh_objects(
        self, weighed_obj_list: Sequence[Any], weight_properties: request_spec.RequestSpec
    ) -> list[float]:
        """Return each host's seconds; one look at the view, however many hosts there are."""
        if not demand_of_request(weight_properties):
            return [0.0] * len(weighed_obj_list)
        view = self._views.current()
        view.refresh()
        now, deadline_of = view.now(), view.deadlines().get
        return [
            end - now if (end := deadline_of(one.obj.host, NEVER)) > now else 0.0
            for one in weighed_obj_list
        ]

    def _weigh_object(
        self, obj: host_manager.HostState, weight_properties: request_spec.RequestSpec
    ) -> float:
        (weight,) = self.weigh_objects([weights.WeighedHost(obj, 0.0)], weight_properties)
        return weight

    def _source(self) -> Any:
        return verifier_client(nova.conf.CONF, self._options).lease_delta
