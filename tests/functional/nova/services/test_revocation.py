# SPDX-License-Identifier: Apache-2.0
"""The operator's rule against Nova's real API, services and database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
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
from tests.functional.nova.services.cloud import Cloud

RULE = Rule(action="disable", max_hosts_per_hour=9, max_fraction=1.0, reenable=True)
FAILED = CheckResult("pcr", "fail", "other", "PCR_MISMATCH", "look")
#: What the rule acts on; the cloud's weigher prefers it.
HOST = "host4"


class Fleet:
    """What a verifier knows of the host, and its worker."""

    def __init__(self, cloud: Cloud, database: Database) -> None:
        self._admin = cloud.admin_api
        self._database = database

    def trust(self) -> None:
        now = datetime.now(UTC)
        self._database.write(
            lambda s: standing.grant(s, hosts.lock_state(s, HOST, now), 600, 1, now)
        )

    def fail(self) -> None:
        now = datetime.now(UTC)

        def work(s) -> None:
            state = hosts.lock_state(s, HOST, now)
            standing.withdraw(s, state, [FAILED], now, why="failed", hold=False)

        self._database.write(work)

    def worker(self, later: float = 0.0, **changes) -> Reconciler:
        # What keystonemiddleware would have made of an administrator's token.
        headers = {
            "X-Auth-User": "admin",
            "X-Auth-Project-Id": self._admin.project_id,
            "X-Roles": "admin",
        }
        http = adapter.Adapter(
            session.Session(noauth.NoAuth()),
            endpoint_override=self._admin.base_url,
            additional_headers=headers,
        )
        rule = replace(RULE, **changes)
        return Reconciler(self._database, Nova(http), rule, partial(_now, later))

    def service(self) -> dict:
        (found,) = self._admin.get_services(binary="nova-compute", host=HOST)
        return found

    def told(self, kind: str) -> list[str]:
        return [e.message for e in self._database.read(lambda s: events.newest(s, 9, kind))]


@pytest.fixture(scope="module")
def compute(one_cloud: Cloud) -> Iterator[None]:
    """One more compute, which takes nothing any more when these tests are through."""
    one_cloud._start_compute(HOST)
    yield
    (service,) = one_cloud.api.get_services(binary="nova-compute", host=HOST)
    one_cloud.api.put_service(service["id"], {"status": "disabled"})


@pytest.fixture
def fleet(cloud: Cloud, compute: None, tmp_path: Path) -> Iterator[Fleet]:
    conf = cfg.ConfigOpts()
    options.set_defaults(conf, connection=f"sqlite:///{tmp_path}/v.sqlite")
    conf([])
    database = Database(conf)
    migration.sync(database)
    database.write(_enrol)
    made = Fleet(cloud, database)
    made.trust()
    cloud.api.put_service(made.service()["id"], {"status": "enabled"})
    yield made
    if made.service()["forced_down"]:
        cloud.restart(HOST)
    database.dispose()


def test_service_is_disabled_takes_no_server_and_is_enabled_again(
    cloud: Cloud, fleet: Fleet
) -> None:
    worker = fleet.worker()
    fleet.fail()
    worker.once()
    service = fleet.service()
    assert service["status"] == "disabled"
    assert service["disabled_reason"].startswith("e2etrust: PCR_MISMATCH")
    assert cloud.host_of(cloud.create(cloud.flavor())) == "host3"
    fleet.trust()
    worker.once()
    assert fleet.service()["status"] == "enabled"
    assert cloud.host_of(cloud.create(cloud.flavor())) == HOST


def test_what_an_operator_disabled_stays_disabled_with_the_operators_reason(
    cloud: Cloud, fleet: Fleet
) -> None:
    worker, service = fleet.worker(), fleet.service()
    cloud.api.put_service(service["id"], {"status": "disabled", "disabled_reason": "broken fan"})
    fleet.fail()
    worker.once()
    fleet.trust()
    worker.once()
    assert fleet.service()["disabled_reason"] == "broken fan"


def test_servers_are_evacuated_when_the_host_is_down_and_not_before(
    cloud: Cloud, fleet: Fleet
) -> None:
    server = cloud.create(cloud.flavor())
    assert cloud.host_of(server) == HOST
    worker = fleet.worker(action="evacuate")
    fleet.fail()
    worker.once()
    assert fleet.service()["status"] == "disabled"
    (told,) = fleet.told("revocation-failed")
    assert told.startswith("NOVA_HOST_UP")
    cloud.computes[HOST].stop()
    cloud.down(HOST)
    worker.once()
    gone = {"OS-EXT-SRV-ATTR:host": "host3", "status": "ACTIVE"}
    cloud._wait_for_server_parameter(server, gone)


def test_force_down_is_done_only_where_the_operator_said_so(cloud: Cloud, fleet: Fleet) -> None:
    server = cloud.create(cloud.flavor())
    fleet.fail()
    # Nova asks a service that it takes for alive before it answers: disabled while it lives.
    fleet.worker(action="evacuate").once()
    assert not fleet.service()["forced_down"]
    cloud.computes[HOST].stop()
    # Another worker, after the duty of the first one.
    fleet.worker(later=301, action="evacuate", force_down=True).once()
    assert fleet.service()["forced_down"]
    gone = {"OS-EXT-SRV-ATTR:host": "host3", "status": "ACTIVE"}
    cloud._wait_for_server_parameter(server, gone)


def _now(later: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=later)


def _enrol(s) -> None:
    now = datetime.now(UTC)
    record = Host(
        name=HOST,
        suite="ecc-p256-sha256",
        ek_public=b"e",
        ek_accepted_by="pin",
        ak_public=b"a",
        ak_name=b"n",
        enrolled_at=now,
    )
    hosts.add(s, record, held=False, now=now)
