# SPDX-License-Identifier: Apache-2.0
"""The scheduler filter that lets servers of trusted flavors land on leased hosts only."""

from __future__ import annotations

import collections
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence

import nova.conf
from nova.objects import aggregate, request_spec
from nova.scheduler import filters, host_manager
from oslo_log import log as logging

from e2etrust_core.messages import Refusal
from e2etrust_core.trust_names import MIN_LEVEL_SPEC, NOTHING, TRUST_SPEC, UNREADABLE
from e2etrust_nova.conf import scheduler as options
from e2etrust_nova.demand import demand_of_request, demands_of_aggregates
from e2etrust_nova.scheduler.process_view import ProcessViews
from e2etrust_nova.scheduler.verifier import verifier_client
from e2etrust_nova.scheduler.view import NEVER, LeaseView, Source

LOG = logging.getLogger(__name__)

#: A host's aggregates -> the least level that is asked of it.
LevelOf = Callable[[tuple[aggregate.Aggregate, ...]], int]

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
        asking = demands_of_aggregates(hosts)
        if not demand and not asking:
            return hosts
        view = self._views.current()
        # What nobody can meet needs no news of the hosts.
        if demand < UNREADABLE:
            view.refresh()
        level_of = _levels(demand, asking) if asking else None
        passed = _passed(hosts, demand, level_of, view)
        if len(passed) < len(hosts) and LOG.isEnabledFor(logging.INFO):
            kept = set(map(id, passed))
            refused = [host for host in hosts if id(host) not in kept]
            levels = (level_of(tuple(one.aggregates)) if level_of else demand for one in refused)
            self._log_refused(spec_obj, len(hosts), refused, levels, view)
        return passed

    def _source(self) -> Source:
        return verifier_client(nova.conf.CONF, self._options).lease_delta

    def _log_refused(
        self,
        spec_obj: request_spec.RequestSpec,
        asked: int,
        refused: Sequence[host_manager.HostState],
        levels: Iterable[int],
        view: LeaseView,
    ) -> None:
        """One line for all: of each code how many, some of them by name, and why the first."""
        names: dict[str, list[str]] = collections.defaultdict(list)
        first: dict[str, Refusal] = {}
        for host, level in zip(refused, levels, strict=True):
            why = view.why_not(host.host, level) if level < UNREADABLE else _UNREADABLE
            names[why.code].append(host.host)
            first.setdefault(why.code, why)
        LOG.info(
            "%d of %d hosts refused for server %s: %s",
            len(refused),
            asked,
            spec_obj.instance_uuid if "instance_uuid" in spec_obj else None,
            "; ".join(
                _told(first[code], names[code], self._options.logged_refusals) for code in names
            ),
        )


def _levels(demand: int, asking: Mapping[aggregate.Aggregate, int]) -> LevelOf:
    """Return what says the least level that request and aggregates ask of a host."""

    # Hosts are many, and sets of aggregates few.
    @functools.cache
    def level_of(aggregates: tuple[aggregate.Aggregate, ...]) -> int:
        return max([demand, *(asking.get(one, NOTHING) for one in aggregates)])

    return level_of


def _passed(
    hosts: Sequence[host_manager.HostState], demand: int, level_of: LevelOf | None, view: LeaseView
) -> list[host_manager.HostState]:
    """:param level_of: None where *demand* is all that is asked of any host."""
    now = view.now()
    if level_of is None:
        end_of = view.deadlines(demand).get
        return [host for host in hosts if end_of(host.host, NEVER) > now]
    ends_of = [view.deadlines(level).get for level in range(UNREADABLE + 1)]
    return [
        host
        for host in hosts
        if not (level := level_of(tuple(host.aggregates))) or ends_of[level](host.host, NEVER) > now
    ]


def _told(why: Refusal, hosts: Sequence[str], named: int) -> str:
    some = ", ".join(hosts[:named])
    more = f", {len(hosts) - named} more" if len(hosts) > named else ""
    then = f". Next: {why.remedy}" if why.remedy else ""
    return f"{len(hosts)} {why.code} ({some}{more}): {why.reason}{then}"
