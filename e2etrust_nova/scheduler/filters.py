# SPDX-License-Identifier: Apache-2.0
"""The scheduler filter that lets servers of trusted flavors land on leased hosts only."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import nova.conf
from nova.objects import request_spec
from nova.scheduler import filters, host_manager
from oslo_log import log as logging

from e2etrust_core.messages import Refusal
from e2etrust_core.trust_names import UNREADABLE
from e2etrust_nova.conf import scheduler as options
from e2etrust_nova.demand import LevelsAsked, demand_of_request
from e2etrust_nova.scheduler.process_view import ProcessViews
from e2etrust_nova.scheduler.verifier import verifier_client
from e2etrust_nova.scheduler.view import NEVER, LeaseView, Refusals, Source

LOG = logging.getLogger(__name__)

#: Hosts that are looked at together: each is looked at more than once, and so many stay in the
#: processor's cache meanwhile.
_BATCH = 1024


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
    ) -> list[host_manager.HostState]:
        """Return the hosts that may take the server; never None, which would stop filtering."""
        hosts = filter_obj_list if isinstance(filter_obj_list, list) else list(filter_obj_list)
        asked = LevelsAsked(demand_of_request(spec_obj))
        passed: list[host_manager.HostState] = []
        refusals: Refusals = {}
        view: LeaseView | None = None
        for start in range(0, len(hosts), _BATCH):
            batch = hosts[start : start + _BATCH]
            levels = asked.of(batch)
            if not levels:
                passed += batch
                continue
            if view is None:
                view = self._news(asked.demand)
                now = view.now()
                ends_of = [view.deadlines(level).get for level in range(UNREADABLE + 1)]
            fits = [
                not level or ends_of[level](host.host, NEVER) > now
                for host, level in zip(batch, levels, strict=True)
            ]
            passed += itertools.compress(batch, fits)
            if not all(fits) and LOG.isEnabledFor(logging.INFO):
                # With each batch, not behind the last one: that took half as long again.
                those = zip(batch, levels, fits, strict=True)
                refused = [(host.host, level) for host, level, fit in those if not fit]
                for code, (why, names) in view.why_not(refused).items():
                    refusals.setdefault(code, (why, []))[1].extend(names)
        if refusals:
            self._log(refusals, len(hosts), spec_obj)
        return passed

    def _news(self, demand: int) -> LeaseView:
        view = self._views.current()
        # What nobody can meet needs no news of the hosts.
        if demand < UNREADABLE:
            view.refresh()
        return view

    def _source(self) -> Source:
        return verifier_client(nova.conf.CONF, self._options).lease_delta

    def _log(self, refusals: Refusals, asked: int, spec_obj: request_spec.RequestSpec) -> None:
        """One line for all: of each code how many, some of them by name, and why the first."""
        LOG.info(
            "%d of %d hosts refused for server %s: %s",
            sum(len(names) for _why, names in refusals.values()),
            asked,
            spec_obj.instance_uuid if "instance_uuid" in spec_obj else None,
            "; ".join(_told(*one, self._options.logged_refusals) for one in refusals.values()),
        )


def _told(why: Refusal, hosts: Sequence[str], named: int) -> str:
    some = ", ".join(hosts[:named])
    more = f", {len(hosts) - named} more" if len(hosts) > named else ""
    then = f". Next: {why.remedy}" if why.remedy else ""
    return f"{len(hosts)} {why.code} ({some}{more}): {why.reason}{then}"
