# SPDX-License-Identifier: Apache-2.0
"""Nova's services in this process, with our filter, and a verifier on their message bus."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import oslo_messaging as messaging
from nova import rpc
from nova.tests import fixtures as nova_fixtures
from nova.tests.functional import integrated_helpers

from e2etrust_core import wire
from e2etrust_core.messages import (
    EXCHANGE,
    VERIFIER_TOPIC,
    DeltaRequest,
    HostTrust,
    LeaseDelta,
    reply_ok,
)

FILTER = "e2etrust_nova.scheduler.filters.TrustedHostFilter"
#: Two images that Nova's Glance fixture has.
IMAGE = "155d900f-4e14-4e4c-a73d-069cbf4541e6"
OTHER_IMAGE = "a2459075-d96c-40d5-893e-577ff92e721c"


class Verifier:
    """An RPC endpoint that leases the hosts that a test names, and counts the questions."""

    def __init__(self) -> None:
        self.leased: set[str] = set()
        self.levels: dict[str, int] = {}
        self.asked = 0

    def lease_delta(self, _context: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
        wire.from_dict(DeltaRequest, request)
        self.asked += 1
        hosts = [HostTrust(h, 60.0, level=self.levels.get(h, 1)) for h in sorted(self.leased)]
        return reply_ok(LeaseDelta(self.asked, True, hosts))


class ScheduledCloud(integrated_helpers.ProviderUsageBaseTestCase):
    """Fake computes; Nova's weigher fixture prefers the last."""

    hosts = ("host1", "host2")
    compute_driver = "fake.MediumFakeDriver"
    microversion = "2.93"
    CAST_AS_CALL = False

    def setUp(self) -> None:
        self.flags(
            available_filters=["nova.scheduler.filters.all_filters", FILTER],
            enabled_filters=["ComputeFilter", "ImagePropertiesFilter", "TrustedHostFilter"],
            group="filter_scheduler",
        )
        self.flags(api_paste_config=str(Path(sys.prefix) / "etc/nova/api-paste.ini"), group="wsgi")
        weights = {host: number for number, host in enumerate(self.hosts, 1)}
        self.useFixture(nova_fixtures.HostNameWeigherFixture(weights=weights))
        super().setUp()
        self.verifier = Verifier()
        self.start_verifier()
        for host in self.hosts:
            self._start_compute(host)

    def start_verifier(self) -> None:
        target = messaging.Target(exchange=EXCHANGE, topic=VERIFIER_TOPIC, server="verifier")
        server = messaging.get_rpc_server(
            rpc.TRANSPORT, target, endpoints=[self.verifier], executor="threading"
        )
        server.start()
        self.addCleanup(server.wait)
        self.addCleanup(server.stop)

    def flavor(self, extra_spec: dict[str, str] | None = None) -> str:
        return self._create_flavor(
            memory_mb=64, vcpu=1, disk=1, ephemeral=0, extra_spec=extra_spec or {}
        )

    def trusted_flavor(self) -> str:
        return self.flavor({"trust:trusted_host": "trusted"})

    def create(self, flavor: str, state: str = "ACTIVE", **where: str) -> dict[str, Any]:
        """Create a server; *where* is ``az`` (``az:host`` forces the host) or ``host``."""
        return self._create_server(
            image_uuid=IMAGE, flavor_id=flavor, networks="none", expected_state=state, **where
        )

    def claimed(self, server: dict[str, Any]) -> dict[str, Any]:
        """What Placement holds for the server: resource provider -> resources."""
        found = self.placement.get(f"/allocations/{server['id']}").body["allocations"]
        return {provider: held["resources"] for provider, held in found.items()}

    def host_of(self, server: dict[str, Any]) -> str:
        return server["OS-EXT-SRV-ATTR:host"]

    def _clear_attrs(self) -> None:
        """Keep what pytest itself put on the test; Nova's runner is another."""
