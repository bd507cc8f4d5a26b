# SPDX-License-Identifier: Apache-2.0
"""Nova's services in this process, with our filter, and a verifier on their message bus."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import oslo_messaging as messaging
import sqlalchemy as sa
from futurist import _thread
from nova import context, rpc
from nova.db.main import api as db_api
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
Server = dict[str, Any]
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


class Cloud(integrated_helpers.ProviderUsageBaseTestCase):
    """Operations as a user orders them, and what became of the server.

    Computes are fake; Nova's weigher fixture prefers the last.
    """

    hosts = ("host1", "host2", "host3")
    compute_driver = "fake.MediumFakeDriver"
    microversion = "2.93"
    CAST_AS_CALL = False
    # The second is empty but for the test that crosses into it.
    NUMBER_OF_CELLS = 2

    def setUp(self) -> None:
        self.flags(
            available_filters=["nova.scheduler.filters.all_filters", FILTER],
            enabled_filters=[
                *("ComputeFilter", "ImagePropertiesFilter", "ServerGroupAffinityFilter"),
                "TrustedHostFilter",
            ],
            group="filter_scheduler",
        )
        self.flags(instances=-1, cores=-1, ram=-1, group="quota")
        # Services do not say that they live: with that, locks of two of Nova's fixtures
        # (DatabaseWriteLock, CellDatabases) can wait for each other for ever.
        self.flags(report_interval=0, service_down_time=3600)
        self.flags(api_paste_config=str(Path(sys.prefix) / "etc/nova/api-paste.ini"), group="wsgi")
        weights = {f"host{number}": number for number in range(1, 6)}
        self.useFixture(nova_fixtures.HostNameWeigherFixture(weights=weights))
        super().setUp()
        # Nova's answers are Nova's affair; to check each against its schema takes long.
        self.flags(response_validation="ignore", group="api")
        # Nova's has each idle thread look a hundred times a second whether it is to stop: with a
        # hundred of them that is most of what the processor does.
        _thread.ThreadWorker.MAX_IDLE_FOR = 0.2
        # Nova's fixture formats every debug message: a third of the time.
        logging.getLogger().setLevel(logging.WARNING)
        self.verifier = Verifier()
        self._placed: Server | None = None
        self.start_verifier()
        self.start_computes()

    def start_computes(self) -> None:
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

    def create(self, flavor: str, state: str = "ACTIVE", **where: Any) -> Server:
        """Create a server; *where* is ``az`` (``az:host`` forces the host) or ``host``."""
        return self._create_server(
            image_uuid=IMAGE, flavor_id=flavor, networks="none", expected_state=state, **where
        )

    def on(self, host: str) -> Server:
        """A trusted server on *host*, where from now on nobody is leased.

        It is the one of before if that is there still: most tests leave it as it was.
        """
        if self._placed is None or self.seen(self._placed) != ("ACTIVE", host):
            self.verifier.leased = {host}
            self._placed = self.create(self.trusted_flavor())
            assert self.host_of(self._placed) == host
        self.verifier.leased = set()
        return self._placed

    def act(self, server: Server, action: str, body: Any = None) -> None:
        self.api.post_server_action(server["id"], {action: body})

    def multi_create(self, body: dict[str, Any]) -> list[Server]:
        """Ask for several servers in one request."""
        before = {one["id"] for one in self.api.get_servers(detail=False)}
        self.api.post_server({"server": body})
        made = [one for one in self.api.get_servers(detail=False) if one["id"] not in before]
        assert len(made) == body["min_count"]
        return made

    def host_of(self, server: Server) -> str:
        return server["OS-EXT-SRV-ATTR:host"]

    def seen(self, server: Server) -> tuple[str, str | None]:
        """State and host of the server now."""
        now = self.api.get_server(server["id"])
        return now["status"], self.host_of(now)

    def claimed(self, server: Server) -> dict[str, Any]:
        """What Placement holds for the server: resource provider -> resources."""
        found = self.placement.get(f"/allocations/{server['id']}").body["allocations"]
        return {provider: held["resources"] for provider, held in found.items()}

    def used(self, host: str) -> dict[str, int]:
        """What Placement holds of the host, for whomever."""
        return self._get_provider_usages(self._get_provider_uuid_by_host(host))

    def asked_during(self, work: Callable[[], Any]) -> int:
        """How often the verifier was asked while *work* was done."""
        before = self.verifier.asked
        work()
        return self.verifier.asked - before

    def down(self, host: str, is_down: bool = True) -> None:
        (service,) = self.api.get_services(host=host, binary="nova-compute")
        self.api.put_service_force_down(service["id"], is_down)

    def restart(self, host: str) -> None:
        """Nova wants it before a host whose servers were evacuated comes back, and not sooner."""
        _until(lambda: {} if self._evacuated(host) else None)
        self.computes[host] = self.restart_compute_service(self.computes[host])
        self.down(host, is_down=False)

    def _evacuated(self, host: str) -> bool:
        """Whether nothing of the host's is being built anew elsewhere."""
        under_way = {"accepted", "pre-migrating"}
        return not any(
            one["source_compute"] == host and one["status"] in under_way
            for one in self.api.api_get("/os-migrations").body["migrations"]
        )

    def refused_move(self, server: Server, action: str) -> None:
        self._assert_resize_migrate_action_fail(server, action, "NoValidHost")
        self._wait_for_server_parameter(server, {"OS-EXT-STS:task_state": None})

    # Nova's own look every half a second, which is most of the time, and give up at 5 s.

    def _wait_for_server_parameter(
        self, server: Server, expected_params: dict[str, Any], *_args: Any, **_kwargs: Any
    ) -> Server:
        def look() -> Server | None:
            if not self._settled(server):
                return None
            now = self.api.get_server(server["id"])
            reached = all(now[key] == value for key, value in expected_params.items())
            # The state comes before the fault.
            faultless = expected_params.get("status") == "ERROR" and "fault" not in now
            return now if reached and not faultless else None

        return _until(look)

    def _wait_for_instance_action_event(
        self, server: Server, action_name: str, event_name: str, event_result: str
    ) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            for action in self.api.get_instance_actions(server["id"]):
                if action["action"] != action_name:
                    continue
                said = self.api.get_instance_action_details(server["id"], action["request_id"])
                for event in said["events"]:
                    if (event["event"], (event["result"] or "").lower()) == (
                        event_name,
                        event_result,
                    ):
                        return event
            return None

        return _until(look)

    def _wait_for_migration_status(
        self, server: Server, expected_statuses: list[str]
    ) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            for migration in self.api.api_get("/os-migrations").body["migrations"]:
                if migration["instance_uuid"] == server["id"] and (
                    migration["status"].lower() in expected_statuses
                ):
                    return migration
            return None

        return _until(look)

    def _settled(self, server: Server) -> bool:
        """Whether nothing is under way, by Nova's database: its API takes as long as some work."""
        query = sa.text("SELECT 1 FROM instances WHERE uuid = :id AND task_state IS NULL")
        for cell in self.cell_mappings.values():
            with context.target_cell(context.get_admin_context(), cell) as targeted:
                engine = db_api.get_engine(context=targeted)
            with engine.connect() as connection:
                if connection.execute(query, {"id": server["id"]}).first():
                    return True
        return False

    def _clear_attrs(self) -> None:
        """Keep what pytest itself put on the test; Nova's runner is another."""


def _until(look: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
    """Return what is seen as soon as there is something."""
    deadline = time.monotonic() + 30
    while (found := look()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found
