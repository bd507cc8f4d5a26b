# SPDX-License-Identifier: Apache-2.0
"""The scheduler filter that lets servers of trusted flavors land on leased hosts only."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Sequence

import nova.conf
from nova.objects import request_spec
from nova.scheduler import filters, host_manager
from oslo_log import log as logging

from e2etrust_core.messages import Refusal
from e2etrust_nova.conf import scheduler as options
from e2etrust_nova.demand import TRUST_SPEC, TRUSTED, Demand, demand_of
from e2etrust_nova.scheduler.process_view import ProcessViews
from e2etrust_nova.scheduler.verifier import VerifierClient
from e2etrust_nova.scheduler.view import NEVER, Source

LOG = logging.getLogger(__name__)

_UNREADABLE = Refusal(
    "DEMAND_UNREADABLE",
    f"the flavor's {TRUST_SPEC} has a value that no host can be checked against",
    f"set it to {TRUSTED!r}, or remove it",
)


class TrustedHostFilter(filters.BaseHostFilter):
    """Passes hosts that hold a lease now, where flavor or image ask for one.

    It is a hint and not the gate: what never asks the scheduler (start, forced hosts, rebuild
    with the same image) is decided by the libvirt hook on the host.
    """

    # CVE-2017-16239: a rebuild with another image is asked about like a create.
    RUN_ON_REBUILD = True
    # Nova keeps the hosts that passed for the further servers of a request.
    run_filter_once_per_request = True

    def __init__(self) -> None:
        self._options = options.register(nova.conf.CONF)
        self._views = ProcessViews(self._options, self._source)

    def filter_all(
        self, filter_obj_list: Iterable[host_manager.HostState], spec_obj: request_spec.RequestSpec
    ) -> Sequence[host_manager.HostState]:
        """Return the hosts that may take the server; never None, which would stop filtering."""
        hosts = filter_obj_list if isinstance(filter_obj_list, list) else list(filter_obj_list)
        demand = demand_of_request(spec_obj)
        if demand is Demand.NOTHING:
            return hosts
        if demand is Demand.UNREADABLE:
            self._log_refused(spec_obj, [(host.host, _UNREADABLE) for host in hosts])
            return []
        view = self._views.current()
        view.refresh()
        now, deadline_of = view.now(), view.deadlines().get
        passed = [host for host in hosts if deadline_of(host.host, NEVER) > now]
        if len(passed) < len(hosts):
            kept = {id(host) for host in passed}
            refused = [host.host for host in hosts if id(host) not in kept]
            self._log_refused(spec_obj, [(host, view.why_not(host)) for host in refused])
        return passed

    def _source(self) -> Source:
        chosen = self._options
        client = VerifierClient(
            nova.conf.CONF, url=chosen.transport_url, timeout=chosen.rpc_timeout
        )
        return client.lease_delta

    def _log_refused(
        self, spec_obj: request_spec.RequestSpec, refused: list[tuple[str, Refusal]]
    ) -> None:
        server = spec_obj.instance_uuid if "instance_uuid" in spec_obj else None
        limit = self._options.logged_refusals
        for host, why in refused[:limit]:
            LOG.info(
                "Host %s refused for server %s: %s: %s. %s",
                host,
                server,
                why.code,
                why.reason,
                why.remedy,
            )
        if len(refused) > limit:
            rest = collections.Counter(why.code for _host, why in refused[limit:])
            counts = ", ".join(f"{number} {code}" for code, number in rest.most_common())
            LOG.info("%d more hosts refused for server %s: %s", rest.total(), server, counts)


def demand_of_request(spec_obj: request_spec.RequestSpec) -> Demand:
    """Return what the flavor and the image of a request ask."""
    extra_specs = spec_obj.flavor.extra_specs if "extra_specs" in spec_obj.flavor else {}
    traits: Sequence[str] = ()
    if "image" in spec_obj and spec_obj.image and "properties" in spec_obj.image:
        # Nova drops image properties it does not know; required traits survive.
        traits = spec_obj.image.properties.get("traits_required") or ()
    return demand_of(extra_specs or {}, traits)
