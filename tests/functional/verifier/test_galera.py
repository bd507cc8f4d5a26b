# SPDX-License-Identifier: Apache-2.0
"""Workers at different nodes of a real Galera cluster, all of them writing.

Takes a minute and a half: by hand, with ``E2ETRUST_TEST_DATABASES=galera``.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy.orm import Session

from e2etrust_core import wire
from e2etrust_core.messages import LeaseDelta, RemoteRefusal, read_reply
from e2etrust_core.tpm.device import Tpm
from e2etrust_verifier import conf as configuration
from e2etrust_verifier.cmd import build
from e2etrust_verifier.db import galera, hosts, migration
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.db.models import Lease
from e2etrust_verifier.rpc.endpoint import VerifierEndpoint
from e2etrust_verifier.trust import operator
from e2etrust_verifier.trust.surroundings import Surroundings, utc_now
from tests.functional import galera_fixture
from tests.functional.galera_fixture import Galera, Node
from tests.functional.swtpm_fixture import EmulatedTpm
from tests.functional.verifier.conftest import DATABASES, write_conf
from tests.functional.verifier.host import Host, refused

pytestmark = [
    pytest.mark.skipif("galera" not in DATABASES, reason="E2ETRUST_TEST_DATABASES has no galera"),
    pytest.mark.skipif(galera_fixture.missing() is not None, reason=f"{galera_fixture.missing()}"),
]
ROUNDS = 8


@dataclass
class Worker:
    """A verifier of its own, at one node."""

    around: Surroundings
    endpoint: VerifierEndpoint = field(init=False)

    def __post_init__(self) -> None:
        self.endpoint = VerifierEndpoint(self.around)

    def call(self, method: str, request: Any) -> dict[str, Any]:
        return getattr(self.endpoint, method)({}, request=request)

    def delta(self, since: int) -> LeaseDelta:
        return read_reply(LeaseDelta, self.call("lease_delta", {"since": since}))


@dataclass
class Fleet:
    cluster: Galera
    workers: list[Worker]
    tpms: Callable[[], EmulatedTpm]

    def host(self, number: int, tpm: EmulatedTpm) -> Host:
        """Return a host, enrolled, each of whose calls goes to another worker than the last."""
        turns = itertools.cycle(self.workers)
        made = Host(f"host{number}", Tpm(tpm.tcti), lambda *call: next(turns).call(*call))
        made.enrol()
        return made

    def at(self, host: Host, worker: int) -> Host:
        """Return *host* with all its calls to one worker."""
        host.call = self.workers[worker].call
        return host


@pytest.fixture
def fleet(
    galera: Galera, tmp_path: Path, swtpm_factory: Callable[[], EmulatedTpm]
) -> Iterator[Fleet]:
    first, workers = swtpm_factory(), []
    urls = galera.new_database()
    conf = write_conf(tmp_path, first, urls[0], "kombu+memory:////")
    for number, url in enumerate(urls):
        own = tmp_path / f"verifier{number}.conf"
        own.touch(mode=0o600)
        own.write_text(conf.read_text().replace(urls[0], url))
        loaded = configuration.load([str(own)], cfg.ConfigOpts())
        database = Database(loaded)
        if number == 0:
            migration.sync(database)
        workers.append(Worker(build.surroundings(loaded, database, lambda _host: None)))
    yield Fleet(galera, workers, itertools.chain([first], iter(swtpm_factory, None)).__next__)
    for worker in workers:
        worker.around.db.dispose()


@pytest.fixture
def host(fleet: Fleet) -> Host:
    return fleet.host(1, fleet.tpms())


def leased(delta: LeaseDelta) -> dict[str, bool]:
    return {one.host: one.seconds > 0 and not one.failed for one in delta.hosts}


def _outcome(host: Host) -> str:
    try:
        return "trusted" if host.attest().trusted else "untrusted"
    except RemoteRefusal as exc:
        return exc.code


def standing_as_stored(session: Session) -> dict[str, bool]:
    """Return what schedulers have to know; of every host that has a lease only that one runs."""
    states = hosts.states(session)
    running = sa.select(Lease.host, Lease.id).where(Lease.ended_at.is_(None))
    held = {(name, one.lease_id) for name, one in states.items() if one.lease_id}
    assert set(map(tuple, session.execute(running))) == held
    return {name: one.lease_id is not None and not one.held for name, one in states.items()}


def test_calls_of_one_host_may_go_to_workers_at_any_nodes(host: Host) -> None:
    for _ in range(ROUNDS):
        lease = host.attest().lease
        assert lease is not None
        assert leased(host.delta()) == {"host1": True}
    assert host.launch().launch


def test_node_that_is_behind_waits_and_tells_nothing_old(fleet: Fleet, host: Host) -> None:
    host.attest()
    known = fleet.at(host, 0).delta().generation
    late: list[Any] = []
    with fleet.cluster.nodes[1].behind():
        operator.revoke(fleet.workers[0].around.db, "host1", utc_now())
        asking = threading.Thread(target=lambda: late.append(fleet.at(host, 1).delta(known)))
        asking.start()
        asking.join(timeout=1)
        assert not late
    asking.join(timeout=30)
    (told,) = late
    assert not told.full
    assert leased(told) == {"host1": False}


def test_upgrade_check_knows_whether_nodes_wait(fleet: Fleet) -> None:
    database = fleet.workers[0].around.db
    assert not database.read(galera.reads_what_is_old)
    with Session(sa.create_engine(database.engine.url)) as left_alone:
        assert galera.reads_what_is_old(left_alone)


def test_nonce_is_good_at_one_node_only(fleet: Fleet, host: Host) -> None:
    for _ in range(ROUNDS):
        answer = wire.to_dict(host.answer(host.challenge()))
        with ThreadPoolExecutor() as pool:
            asked = [pool.submit(worker.call, "attest", answer) for worker in fleet.workers]
            replies = [one.result() for one in asked]
        refusals = [reply["error"]["code"] for reply in replies if "error" in reply]
        assert refusals == ["NONCE_UNKNOWN"] * 2


def test_whatever_nodes_commit_schedulers_miss_nothing_and_no_change_is_lost(fleet: Fleet) -> None:
    some = [fleet.host(number, fleet.tpms()) for number in range(3)]
    databases = [worker.around.db for worker in fleet.workers]
    over, view, known, questions = threading.Event(), {}, [0], itertools.cycle(fleet.workers)

    def attest(host: Host) -> set[str]:
        return {_outcome(host) for _ in range(2 * ROUNDS)}

    def administer(database: Database) -> None:
        for number in range(ROUNDS):
            for decide in (operator.revoke, operator.approve):
                decide(database, some[number % len(some)].name, utc_now())

    def look() -> None:
        delta = next(questions).delta(known[0])
        assert not delta.full or not known[0]
        assert delta.generation >= known[0]
        known[0] = delta.generation
        view.update(leased(delta))

    def watch() -> None:
        while not over.is_set():
            look()

    with ThreadPoolExecutor() as pool:
        watching = pool.submit(watch)
        acting = [pool.submit(administer, database) for database in databases[1:]]
        attesting = [pool.submit(attest, host) for host in some]
        try:
            outcomes = set().union(*(one.result() for one in attesting))
            for one in acting:
                one.result()
        finally:
            over.set()
        watching.result()
    look()
    # Some were held meanwhile, or approved since their challenge.
    assert "trusted" in outcomes
    assert outcomes <= {"trusted", "untrusted", "EVIDENCE_STALE"}
    for database in databases:
        assert database.read(standing_as_stored) == view


def test_node_that_is_killed_costs_only_the_workers_that_have_no_other(
    fleet: Fleet, host: Host
) -> None:
    first, *others = fleet.cluster.nodes
    others[0].kill()
    with refused("DATABASE_DOWN"):
        fleet.at(host, 1).attest()
    assert fleet.at(host, 0).attest().trusted
    others[1].kill()
    with refused("DATABASE_DOWN"):  # alone it may be the one that is cut off
        host.attest()
    first.set("wsrep_provider_options", "'pc.bootstrap=1'")
    first.wait_synced()
    assert host.attest().trusted
    with ThreadPoolExecutor() as pool:
        list(pool.map(Node.start, others))
    for node in others:
        node.wait_synced()
    assert fleet.at(host, 1).attest().trusted
