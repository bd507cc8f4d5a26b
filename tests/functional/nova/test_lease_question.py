# SPDX-License-Identifier: Apache-2.0
"""The scheduler's question over a real RabbitMQ, as a verifier listens there by default."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import oslo_messaging as messaging
import pytest
import tenacity
from oslo_config import cfg
from oslo_messaging import conffixture

from e2etrust_core.messages import EXCHANGE, VERIFIER_TOPIC, HostTrust, LeaseDelta, reply_ok
from e2etrust_nova.scheduler.verifier import VerifierClient, VerifierDownError
from tests.functional.rabbitmq_fixture import Broker

DELTA = LeaseDelta(4, False, [HostTrust("host1", 30.0)])


class Endpoint:
    def lease_delta(self, _context: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
        assert request == {"since": 3}
        return reply_ok(DELTA)


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    """A broker that these tests may stop."""
    with tempfile.TemporaryDirectory(prefix="mq") as directory:
        broker = Broker(Path(directory))
        broker.start()
        yield broker
        broker.end()


def configured(project: str, broker: Broker) -> conffixture.ConfFixture:
    conf = cfg.ConfigOpts()
    conf([], project=project, default_config_files=[])
    options = conffixture.ConfFixture(conf, transport_url=broker.url)
    options.setUp()
    return options


@pytest.fixture
def conf(broker: Broker) -> Iterator[cfg.ConfigOpts]:
    options = configured("nova", broker)
    # What nova-scheduler's process has set: its own exchange, not the verifier's.
    options.conf.set_default("control_exchange", "nova")
    yield options.conf
    options.cleanUp()


@pytest.fixture
def verifier(broker: Broker) -> Iterator[None]:
    # What Nova does to the defaults of the process it runs in; the two ends still meet.
    messaging.set_transport_defaults("nova")
    options = configured("verifier", broker)
    server = messaging.get_rpc_server(
        messaging.get_rpc_transport(options.conf, url=broker.url),
        messaging.Target(exchange=EXCHANGE, topic=VERIFIER_TOPIC, server="v"),
        endpoints=[Endpoint()],
        executor="threading",
    )
    server.start()
    yield
    server.stop()
    server.wait()
    options.cleanUp()


def test_bus_that_never_met_a_verifier_says_so_before_the_timeout(broker, conf):
    # Comes first: RabbitMQ keeps the queue of a verifier that was there once.
    with pytest.raises(VerifierDownError) as caught:
        VerifierClient(conf, url=broker.url, timeout=60).lease_delta(3)
    assert "no verifier listens" in caught.value.reason


def test_question_reaches_the_verifier_whatever_default_exchange_nova_set(broker, conf, verifier):
    asking = VerifierClient(conf, url=broker.url, timeout=10)
    # The server returns from start() before its queue is there.
    listening = tenacity.retry(
        retry=tenacity.retry_if_exception_message(match=".*no verifier listens"),
        wait=tenacity.wait_fixed(0.2),
        stop=tenacity.stop_after_delay(20),
        reraise=True,
    )
    assert listening(asking.lease_delta)(3) == DELTA


def test_broker_that_is_gone_is_verifier_down_and_not_a_stall(broker, conf):
    asking = VerifierClient(conf, url=broker.url, timeout=1)
    broker.stop()
    try:
        for _ in range(2):
            with pytest.raises(VerifierDownError):
                asking.lease_delta(3)
    finally:
        broker.start()
