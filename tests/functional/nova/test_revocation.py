# SPDX-License-Identifier: Apache-2.0
"""The operator's rule against Nova's real API, services and database."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from keystoneauth1 import adapter, noauth, session
from oslo_config import cfg
from oslo_db import options

from e2etrust_core.appraisal.model import CheckResult
from e2etrust_verifier.db import events, hosts, migration
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.db.models import Host
from e2etrust_verifier.revocation.nova import Nova
from e2etrust_verifier.revocation.reconciler import Reconciler
from e2etrust_verifier.revocation.rule import Rule
from e2etrust_verifier.trust import standing
from tests.functional.nova.scheduled_cloud import ScheduledCloud

RULE = Rule(action="disable", max_hosts_per_hour=9, max_fraction=1.0, reenable=True)
FAILED = CheckResult("pcr", "fail", "other", "PCR_MISMATCH", "look")


class TestRevocation(ScheduledCloud):
    def setUp(self) -> None:
        super().setUp()
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        conf = cfg.ConfigOpts()
        options.set_defaults(conf, connection=f"sqlite:///{Path(directory)}/v.sqlite")
        conf([])
        self.database = Database(conf)
        self.addCleanup(self.database.dispose)
        migration.sync(self.database)
        for name in ("host1", "host2"):
            self.database.write(lambda s, name=name: _enrol(s, name))
            self._trust(name)

    def _trust(self, name: str) -> None:
        now = datetime.now(UTC)
        self.database.write(
            lambda s: standing.grant(s, hosts.lock_state(s, name, now), 600, 1, now)
        )

    def _fail(self, name: str) -> None:
        now = datetime.now(UTC)

        def work(s) -> None:
            state = hosts.lock_state(s, name, now)
            standing.withdraw(s, state, [FAILED], now, why="failed", hold=False)

        self.database.write(work)

    def _worker(self, later: float = 0.0, **changes) -> Reconciler:
        # What keystonemiddleware would have made of an administrator's token.
        headers = {
            "X-Auth-User": "admin",
            "X-Auth-Project-Id": self.admin_api.project_id,
            "X-Roles": "admin",
        }
        http = adapter.Adapter(
            session.Session(noauth.NoAuth()),
            endpoint_override=self.admin_api.base_url,
            additional_headers=headers,
        )
        rule = replace(RULE, **changes)
        return Reconciler(self.database, Nova(http), rule, partial(_now, later))

    def _service(self, host: str) -> dict:
        (found,) = self.admin_api.get_services(binary="nova-compute", host=host)
        return found

    def _told(self, kind: str) -> list[str]:
        return [e.message for e in self.database.read(lambda s: events.newest(s, 9, kind))]

    def test_service_is_disabled_takes_no_server_and_is_enabled_again(self) -> None:
        worker = self._worker()
        self._fail("host2")
        worker.once()
        service = self._service("host2")
        assert service["status"] == "disabled"
        assert service["disabled_reason"].startswith("e2etrust: PCR_MISMATCH")
        assert self.host_of(self.create(self.flavor())) == "host1"
        self._trust("host2")
        worker.once()
        assert self._service("host2")["status"] == "enabled"
        assert self.host_of(self.create(self.flavor())) == "host2"

    def test_what_an_operator_disabled_stays_disabled_with_the_operators_reason(self) -> None:
        worker, service = self._worker(), self._service("host2")
        self.admin_api.put_service(
            service["id"], {"status": "disabled", "disabled_reason": "broken fan"}
        )
        self._fail("host2")
        worker.once()
        self._trust("host2")
        worker.once()
        assert self._service("host2")["disabled_reason"] == "broken fan"

    def test_servers_are_evacuated_when_the_host_is_down_and_not_before(self) -> None:
        server = self.create(self.flavor())
        assert self.host_of(server) == "host2"
        worker = self._worker(action="evacuate")
        self._fail("host2")
        worker.once()
        assert self._service("host2")["status"] == "disabled"
        (told,) = self._told("revocation-failed")
        assert told.startswith("NOVA_HOST_UP")
        self.computes["host2"].stop()
        self.admin_api.put_service_force_down(self._service("host2")["id"], True)
        worker.once()
        server = self._wait_for_server_parameter(
            server, {"OS-EXT-SRV-ATTR:host": "host1", "status": "ACTIVE"}
        )
        assert self.host_of(server) == "host1"

    def test_force_down_is_done_only_where_the_operator_said_so(self) -> None:
        server = self.create(self.flavor())
        self._fail("host2")
        # Nova asks a service that it takes for alive before it answers: disabled while it lives.
        self._worker(action="evacuate").once()
        assert not self._service("host2")["forced_down"]
        self.computes["host2"].stop()
        # Another worker, after the duty of the first one.
        self._worker(later=301, action="evacuate", force_down=True).once()
        assert self._service("host2")["forced_down"]
        self._wait_for_server_parameter(
            server, {"OS-EXT-SRV-ATTR:host": "host1", "status": "ACTIVE"}
        )


def _now(later: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=later)


def _enrol(s, name: str) -> None:
    now = datetime.now(UTC)
    record = Host(
        name=name,
        suite="ecc-p256-sha256",
        ek_public=b"e",
        ek_accepted_by="pin",
        ak_public=b"a",
        ak_name=b"n",
        enrolled_at=now,
    )
    hosts.add(s, record, held=False, now=now)
