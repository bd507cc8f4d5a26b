# SPDX-License-Identifier: Apache-2.0
"""A compute host's own account on the broker: what the install guide gives it, and no more.

Every compute host has a password of the message bus.  With an account for all of them one that is
taken over answers the scheduler in the verifier's place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import kombu
import oslo_messaging
import pytest
from amqp.exceptions import AccessRefused
from oslo_config import cfg
from oslo_messaging import conffixture

from e2etrust_agent.verifier_bus import VerifierBus
from e2etrust_core import messages
from tests.functional.rabbitmq_fixture import Broker

GUIDE = Path(__file__).parents[3] / "doc/source/install/index.rst"
HOST = "compute1"


def commands() -> list[list[str]]:
    """Return the install guide's rabbitmqctl commands for one host."""
    lines = re.findall(r"^ +rabbitmqctl (.+)$", GUIDE.read_text(), re.MULTILINE)
    told = [line.replace("HOST", HOST).replace("PASSWORD", "secret") for line in lines]
    return [[word.strip("'") for word in re.findall(r"'[^']*'|\S+", line)] for line in told]


def transport(url: str) -> tuple[Any, conffixture.ConfFixture]:
    conf = cfg.ConfigOpts()
    conf([], project="tests", default_config_files=[])
    options = conffixture.ConfFixture(conf, transport_url=url)
    options.setUp()
    return oslo_messaging.get_rpc_transport(conf), options


class Verifier:
    target = oslo_messaging.Target(version="1.0")

    def challenge(self, _context: dict, request: dict) -> dict[str, Any]:
        answer = messages.Challenge(request["host"].encode(), 5.0, {"sha256": [0]}, False)
        return messages.reply_ok(answer)


class Agent:
    target = oslo_messaging.Target(version="1.0")

    def guest_evidence(self, _context: dict, request: dict) -> dict[str, Any]:
        return {"asked": request}


def server(over: Any, topic: str, name: str, endpoint: object) -> Any:
    target = oslo_messaging.Target(exchange=messages.EXCHANGE, topic=topic, server=name)
    made = oslo_messaging.get_rpc_server(over, target, [endpoint], executor="threading")
    made.start()
    return made


@pytest.fixture(scope="module")
def bus(rabbitmq: Broker) -> Iterator[SimpleNamespace]:
    for command in commands():
        rabbitmq.control(*command)
    everything = [".*"] * 3
    rabbitmq.control("set_permissions", "-p", "e2etrust", "tests", *everything)
    all_rights = f"{rabbitmq.url}e2etrust"
    url = all_rights.replace("tests:tests", f"{HOST}:secret")
    (ours, first), (theirs, second) = transport(all_rights), transport(url)
    verifier = server(ours, messages.VERIFIER_TOPIC, "v", Verifier())
    agent = server(theirs, messages.AGENT_TOPIC, HOST, Agent())
    with kombu.Connection(url.replace("rabbit://", "amqp://")) as connection:
        yield SimpleNamespace(ours=ours, theirs=theirs, connection=connection)
    for one in (agent, verifier):
        one.stop()
        one.wait()
    for options in (first, second):
        options.cleanUp()


def test_host_asks_the_verifier_and_is_asked_with_its_own_account(bus):
    asked = messages.ChallengeRequest(HOST, "attest")
    assert VerifierBus(bus.theirs, 10).challenge(asked).nonce == HOST.encode()
    target = oslo_messaging.Target(
        exchange=messages.EXCHANGE, topic=messages.AGENT_TOPIC, server=HOST, version="1.0"
    )
    client = oslo_messaging.get_rpc_client(bus.ours, target, timeout=10)
    assert client.call({}, "guest_evidence", request={"x": 1}) == {"asked": {"x": 1}}


@pytest.mark.parametrize("queue", ["e2etrust.verifier", "e2etrust.verifier.v", "nova", "reply_"])
def test_host_takes_no_message_that_is_for_somebody_else(bus, queue):
    with bus.connection.channel() as channel, pytest.raises(AccessRefused):
        channel.basic_get(queue)


def test_host_gets_no_copy_of_what_others_ask_the_verifier(bus):
    """With a copy it would know where to send an answer, and be faster."""
    with bus.connection.channel() as channel:
        channel.queue_declare(f"e2etrust.agent.{HOST}", passive=True)
        for key in ("e2etrust.verifier", "#", "e2etrust.*"):
            with bus.connection.channel() as asking, pytest.raises(AccessRefused):
                asking.queue_bind(f"e2etrust.agent.{HOST}", messages.EXCHANGE, key)


def test_host_asks_no_other_hosts_agent(bus):
    with bus.connection.channel() as channel, pytest.raises(AccessRefused):
        channel.queue_declare("e2etrust.agent.compute2")
