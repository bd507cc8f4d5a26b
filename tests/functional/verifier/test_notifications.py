# SPDX-License-Identifier: Apache-2.0
"""What happens is heard by a listener on a real broker: once, and also when the broker was away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import oslo_messaging
import pytest
from oslo_config import cfg

from e2etrust_core import jws, wire
from e2etrust_verifier import conf as configuration
from e2etrust_verifier.cmd import telling
from e2etrust_verifier.db import events, migration, outbox
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.notify.bus import KIND, NotificationDriverUnknown
from e2etrust_verifier.notify.courier import Courier, Sorter, rounds
from e2etrust_verifier.notify.notice import Notice
from e2etrust_verifier.round import Round
from e2etrust_verifier.trust import records
from e2etrust_verifier.trust.surroundings import utc_now
from tests.functional.rabbitmq_fixture import Broker


class Ear:
    """An endpoint for every priority that is used."""

    def __init__(self, keys: dict[str, Any]) -> None:
        self.heard: list[tuple[str, str, Notice]] = []
        self.keys = keys

    def _hear(self, priority: str) -> Callable:
        def hear(_context, publisher, event_type, payload, _metadata):
            assert publisher.startswith("e2etrust-verifier.")
            notice = wire.from_dict(Notice, payload)
            signed = jws.payload_of(payload["signed"], self.keys, [jws.ES256], KIND)
            assert wire.from_json(Notice, signed) == notice
            assert notice.type == event_type
            self.heard.append((priority, event_type, notice))

        return hear

    def __getattr__(self, name: str) -> Callable:
        if name in ("info", "warn", "error"):
            return self._hear(name)
        raise AttributeError(name)

    def wait_for(self, host: str) -> None:
        deadline = time.monotonic() + 60
        while not any(notice.host == host for *_, notice in self.heard):
            assert time.monotonic() < deadline, self.heard
            time.sleep(0.05)


@pytest.fixture
def ear(rabbitmq: Broker, conf: cfg.ConfigOpts) -> Iterator[Ear]:
    made = Ear(records.published_keys(conf))
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[])
    listener = oslo_messaging.get_notification_listener(
        oslo_messaging.get_notification_transport(conf, rabbitmq.url),
        [oslo_messaging.Target(topic="notifications")],
        [made],
        executor="threading",
    )
    listener.start()
    yield made
    listener.stop()
    listener.wait()


@pytest.fixture
def conf(tmp_path, rabbitmq: Broker, database_url: str) -> cfg.ConfigOpts:
    path = tmp_path / "verifier.conf"
    path.touch(mode=0o600)
    path.write_text(
        f"[DEFAULT]\ntransport_url = {rabbitmq.url}\n[database]\nconnection = {database_url}\n"
        "[oslo_messaging_notifications]\ndriver = messagingv2\n"
        f"[verifier]\nsigning_key = {tmp_path}/signing-key.pem\n"
    )
    records.create_key(tmp_path / "signing-key.pem")
    return configuration.load([str(path)])


@pytest.fixture
def database(conf: cfg.ConfigOpts) -> Iterator[Database]:
    made = Database(conf)
    migration.sync(made)
    yield made
    made.dispose()


def happen(database: Database, host: str, kind: str = "host-failed") -> None:
    database.write(
        lambda s: events.add(
            s, kind, "PCR_MISMATCH: other", now=utc_now(), host=host, codes=("PCR_MISMATCH",)
        )
    )


@pytest.fixture
def telling_threads(database: Database, conf: cfg.ConfigOpts) -> Iterator[list[Round]]:
    """Those of two workers."""
    made = [
        one for _ in range(2) for one in rounds(database, telling.destinations(conf), utc_now, 0.1)
    ]
    for one in made:
        one.start()
    yield made
    for one in made:
        one.stop()


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
def test_event_is_heard_once_and_also_across_a_restart_of_the_broker(
    database, telling_threads, ear, rabbitmq
):
    happen(database, "host1")
    ear.wait_for("host1")
    priority, event_type, notice = ear.heard[0]
    assert (priority, event_type) == ("error", "e2etrust.host.untrusted")
    assert (notice.codes, notice.version) == (["PCR_MISMATCH"], "1.0")
    rabbitmq.stop()
    happen(database, "host2")
    time.sleep(0.5)
    rabbitmq.start()
    ear.wait_for("host2")
    happen(database, "host3", "host-trusted")
    ear.wait_for("host3")
    heard = [notice.host for *_, notice in ear.heard]
    assert sorted(heard) == ["host1", "host2", "host3"]
    deadline = time.monotonic() + 10
    while database.read(outbox.waiting):
        assert time.monotonic() < deadline


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_without_a_driver_nothing_is_told(conf, database):
    conf.set_override("driver", [], "oslo_messaging_notifications")
    assert telling.destinations(conf) == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_driver_that_is_not_there_is_an_error_and_not_silence(conf, database):
    conf.set_override("driver", ["mesagingv2"], "oslo_messaging_notifications")
    with pytest.raises(NotificationDriverUnknown, match="mesagingv2"):
        telling.destinations(conf)


class Slow:
    """A destination that counts; two couriers of different workers share it."""

    name, unwanted, patience, timeout = "slow", frozenset(), None, 1.0

    def __init__(self) -> None:
        self.got: list[str] = []
        self._lock = threading.Lock()

    def deliver(self, notice, _priority) -> None:
        time.sleep(0.005)
        with self._lock:
            self.got.append(notice.host)


def test_workers_share_the_outbox_and_each_event_is_told_once(database):
    slow, count = Slow(), 60

    def work() -> None:
        sorter, courier = Sorter(database, [slow], utc_now), Courier(database, slow, utc_now)
        until = time.monotonic() + 30
        while len(slow.got) < count and time.monotonic() < until:
            sorter.once()
            courier.once()

    workers = [threading.Thread(target=work) for _ in range(3)]
    for one in workers:
        one.start()
    for number in range(count):
        happen(database, f"host{number}")
    for one in workers:
        one.join()
    assert sorted(slow.got) == sorted(f"host{n}" for n in range(count))
    assert database.read(outbox.waiting) == {}


def test_claim_that_is_over_is_no_longer_the_dead_workers(database):
    happen(database, "host1")
    database.write(lambda s: outbox.hand_out(s, {"x": frozenset()}, utc_now(), 9))
    now = utc_now()
    late = now + timedelta(seconds=10)

    def claim(holder, at):
        return database.write(
            lambda s: outbox.claim(s, "x", holder, at, at + timedelta(seconds=5), 9)
        )

    (row,) = claim("dead", now)
    assert claim("other", now) == []
    assert len(claim("other", late)) == 1
    assert not database.write(lambda s: outbox.forget(s, row.id, "dead"))
    assert database.write(lambda s: outbox.forget(s, row.id, "other"))
