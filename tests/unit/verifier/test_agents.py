# SPDX-License-Identifier: Apache-2.0
"""The API's question to a host's agent never holds a thread of the API for good."""

from __future__ import annotations

import threading

import oslo_messaging
import pytest
from oslo_config import cfg

from e2etrust_core import messages
from e2etrust_verifier import conf as configuration
from e2etrust_verifier.api.agents import Agents
from e2etrust_verifier.api.errors import AgentUnreachable

ASK = messages.GuestAsk("11111111-2222-4333-8444-555555555555", b"n" * 16)


class Client:
    """oslo.messaging's, whose connection to the broker does not come until :attr:`there` is set."""

    def __init__(self) -> None:
        self.there = threading.Event()
        self.asked = 0

    def call(self, *_arguments: object, **_named: object) -> None:
        self.asked += 1
        self.there.wait(30)
        raise ConnectionError("amqp://account:password@broker")


@pytest.fixture
def client(monkeypatch):
    made = Client()
    monkeypatch.setattr(oslo_messaging, "get_rpc_client", lambda *_, **__: made)
    yield made
    made.there.set()


@pytest.fixture
def agents(monkeypatch):
    monkeypatch.setattr(oslo_messaging, "get_rpc_transport", lambda _conf: None)
    monkeypatch.setattr("e2etrust_verifier.api.agents.GRACE", 0.0)
    conf = cfg.ConfigOpts()
    configuration.load([], conf)
    conf.set_override("agent_timeout", 1.0, "verifier")
    return Agents(conf)


def test_broker_that_is_gone_is_given_up_and_not_asked_again_meanwhile(agents, client):
    for _ in range(3):
        with pytest.raises(AgentUnreachable):
            agents.guest_evidence("host1", ASK)
    assert client.asked == 1


def test_broken_connection_is_told_without_its_address(agents, client):
    client.there.set()
    with pytest.raises(AgentUnreachable) as caught:
        agents.guest_evidence("host1", ASK)
    assert "password" not in str(caught.value)
