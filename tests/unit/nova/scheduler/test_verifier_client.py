# SPDX-License-Identifier: Apache-2.0
"""The question to the verifier: typed answers, and never a stall."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import oslo_messaging as messaging
import pytest
from nova import rpc
from oslo_config import cfg
from oslo_messaging import conffixture

from e2etrust_core.errors import E2ETrustError, InputError
from e2etrust_core.messages import (
    EXCHANGE,
    VERIFIER_TOPIC,
    HostTrust,
    LeaseDelta,
    RemoteRefusal,
    reply_error,
    reply_ok,
)
from e2etrust_core.signed_answer import PinnedKeys
from e2etrust_nova.scheduler.verifier import VerifierClient, VerifierDownError
from e2etrust_nova.scheduler.view import LeaseView
from tests.unit.verifier_key import new_signer, pin


class Endpoint:
    def __init__(self, answer: Callable[[dict[str, Any]], Any]) -> None:
        self.answer = answer

    def lease_delta(self, _context: dict[str, Any], request: dict[str, Any]) -> Any:
        return self.answer(request)


@pytest.fixture
def conf() -> Iterator[cfg.ConfigOpts]:
    conf = cfg.ConfigOpts()
    conf([], project="test", default_config_files=[])
    options = conffixture.ConfFixture(conf, transport_url="fake:/")
    options.setUp()
    yield conf
    options.cleanUp()


@pytest.fixture
def bus(conf, monkeypatch):
    """One in-memory bus, as the one that Nova has open."""
    transport = messaging.get_rpc_transport(conf, url="fake://")
    monkeypatch.setattr(rpc, "TRANSPORT", transport)
    return transport


@pytest.fixture
def serve(bus, request):
    """Start a verifier on oslo.messaging's in-memory driver."""

    def start(answer: Callable[[dict[str, Any]], Any]) -> None:
        server = messaging.get_rpc_server(
            bus,
            messaging.Target(exchange=EXCHANGE, topic=VERIFIER_TOPIC, server="v"),
            endpoints=[Endpoint(answer)],
            executor="threading",
        )
        server.start()
        request.addfinalizer(server.wait)
        request.addfinalizer(server.stop)

    return start


def client(conf: cfg.ConfigOpts, timeout: float = 5.0, keys: Any = None) -> VerifierClient:
    return VerifierClient(conf, url="", timeout=timeout, keys=keys)


def test_answer_comes_back_as_a_value(conf, serve):
    delta = LeaseDelta(7, False, [HostTrust("host1", 12.5)])
    asked = []
    serve(lambda request: asked.append(request) or reply_ok(delta))
    assert client(conf).lease_delta(3) == delta
    assert asked == [{"since": 3}]


def test_refusal_of_the_verifier_is_raised_as_it_said(conf, serve):
    serve(lambda _request: reply_error(E2ETrustError("broken", code="INTERNAL")))
    with pytest.raises(RemoteRefusal) as caught:
        client(conf).lease_delta(0)
    assert caught.value.code == "INTERNAL"


def test_host_that_answers_in_the_verifiers_place_draws_no_server_to_itself(conf, serve, tmp_path):
    serve(lambda _request: reply_ok(LeaseDelta(1, True, [HostTrust("mine", 3600.0, level=9)])))
    keys = PinnedKeys(pin(tmp_path / "keys.json", new_signer()))
    view = LeaseView(client(conf, keys=keys).lease_delta, retry_interval=0)
    view.refresh()
    assert view.deadlines() == {}


@pytest.mark.parametrize(
    "answer", [None, {}, {"result": {"generation": "x", "full": True, "hosts": []}}, "text"]
)
def test_answer_of_another_shape_is_an_input_error(conf, serve, answer):
    serve(lambda _request: answer)
    with pytest.raises(InputError):
        client(conf).lease_delta(0)


def test_nobody_there_is_verifier_down(conf, bus):
    with pytest.raises(VerifierDownError) as caught:
        client(conf, timeout=0.2).lease_delta(0)
    assert caught.value.code == "VERIFIER_DOWN"


def test_bus_that_hangs_is_given_up_and_not_asked_again_meanwhile(conf, monkeypatch):
    asking = client(conf, timeout=0.1)
    hung = threading.Event()
    entered: list[int] = []

    def never_connects() -> None:
        entered.append(1)
        hung.wait(30)
        raise messaging.MessageDeliveryFailure("gone")

    monkeypatch.setattr(asking, "_rpc", never_connects)
    for _ in range(3):
        with pytest.raises(VerifierDownError):
            asking.lease_delta(0)
    assert len(entered) == 1
    hung.set()
