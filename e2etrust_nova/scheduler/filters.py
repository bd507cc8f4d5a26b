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
from e2etrust_core.trust_names import MIN_LEVEL_SPEC, TRUST_SPEC, UNREADABLE
from e2etrust_nova.conf import scheduler as options
from e2etrust_nova.demand import demand_of_request, demands_of_aggregates
from e2etrust_nova.scheduler.process_view import ProcessViews
from e2etrust_nova.scheduler.verifier import VerifierClient
from e2etrust_nova.scheduler.view import NEVER, LeaseView, Source

LOG = logging.getLogger(__name__)

_UNREADABLE = Refusal(
    "DEMAND_UNREADABLE",
    f"{TRUST_SPEC} or {MIN_LEVEL_SPEC} of flavor or aggregate has a value that no host can meet,"
    " or there is another key trust:",
    "set the first to 'trusted', the second to a number from 1 to 9, or remove them; remove others",
)


class TrustedHostFilter(filters.BaseHostFilter):
    """Passes hosts that hold a lease now, where flavor, image or the host's aggregate ask for one.

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
        by_aggregate = demands_of_aggregates(hosts)
        if not demand and not by_aggregate:
            return hosts
        view = self._views.current()
        # What nobody can meet needs no news of the hosts.
        if demand < UNREADABLE:
            view.refresh()
        now = view.now()
        if by_aggregate:
            passed = _passed_by_aggregate(hosts, demand, by_aggregate, view, now)
        else:
            deadline_of = view.deadlines(demand).get
            passed = [host for host in hosts if deadline_of(host.host, NEVER) > now]
        if len(passed) < len(hosts):
            self._log_refused(spec_obj, hosts, passed, demand, by_aggregate, view)
        return passed

    def _source(self) -> Source:
        chosen = self._options
        client = VerifierClient(
            nova.conf.CONF, url=chosen.transport_url, timeout=chosen.rpc_timeout
        )
        return client.lease_delta

    def _log_refused(
        self,
        spec_obj: request_spec.RequestSpec,
        hosts: Sequence[host_manager.HostState],
        passed: Sequence[host_manager.HostState],
        demand: int,
        by_aggregate: dict[int, int],
        view: LeaseView,
    ) -> None:
        server = spec_obj.instance_uuid if "instance_uuid" in spec_obj else None
        limit = self._options.logged_refusals
        kept = {id(host) for host in passed}
        refused = [
            (host.host, _why_not(host, _level(host, demand, by_aggregate), view))
            for host in hosts
            if id(host) not in kept
        ]
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


def _passed_by_aggregate(
    hosts: Sequence[host_manager.HostState],
    demand: int,
    by_aggregate: dict[int, int],
    view: LeaseView,
    now: float,
) -> list[host_manager.HostState]:
    ends_of = [view.deadlines(level).get for level in range(UNREADABLE + 1)]
    asked_by = by_aggregate.get
    passed = []
    for host in hosts:
        # As _level() says it; a call for each host would be half of the time.
        level = demand
        for aggregate in host.aggregates:
            asked = asked_by(id(aggregate), 0)
            if asked > level:
                level = asked
        if not level or ends_of[level](host.host, NEVER) > now:
            passed.append(host)
    return passed


def _level(host: host_manager.HostState, demand: int, by_aggregate: dict[int, int]) -> int:
    """Return the least level that request and aggregates ask of this host."""
    for aggregate in host.aggregates:
        demand = max(demand, by_aggregate.get(id(aggregate), 0))
    return demand


def _why_not(host: host_manager.HostState, level: int, view: LeaseView) -> Refusal:
    return _UNREADABLE if level >= UNREADABLE else view.why_not(host.host, level)
