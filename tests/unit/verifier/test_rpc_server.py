# SPDX-License-Identifier: Apache-2.0
"""Where the verifier listens."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import oslo_messaging
import pytest
from oslo_config import cfg
from oslo_messaging import conffixture

from e2etrust_core.messages import EXCHANGE, GIVE_UP_AFTER, VERIFIER_TOPIC
from e2etrust_core.signed_answer import PinnedKeys
from e2etrust_verifier.conf import verifier
from e2etrust_verifier.rpc.server import make_server
from e2etrust_verifier.rpc.signing import AnswerSigner
from e2etrust_verifier.rpc.waiting_line import WaitingLine
from tests.unit.verifier_key import new_signer, pin

SIGNER = new_signer()

PATIENCE = 30


class Endpoint:
    target = oslo_messaging.Target(version="1.0")

    def __init__(self) -> None:
        self.groups: list[list[Any]] = []
        self.entered, self.go_on = threading.Event(), threading.Event()

    def attest_each(self, requests: list[Any]) -> list[dict[str, Any]]:
        """Stand still in the first group until told to go on."""
        self.groups.append(requests)
        if len(self.groups) == 1:
            self.entered.set()
            assert self.go_on.wait(PATIENCE)
        return [{"answer": request} for request in requests]

    def challenge_each(self, requests: list[Any]) -> list[dict[str, Any]]:
        return [{"nonce": request} for request in requests]

    def challenge(self, _context: dict[str, Any], **_arguments: Any) -> dict[str, Any]:
        return {"alone": True}

    def lease_delta(self, _context: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
        return {"asked": request}


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


@pytest.fixture
def conf() -> Iterator[cfg.ConfigOpts]:
    made = cfg.ConfigOpts()
    made.register_opts(verifier.OPTIONS, verifier.GROUP)
    made([], project="verifier", default_config_files=[])
    options = conffixture.ConfFixture(made, transport_url="fake://")
    options.setUp()
    made.set_override("control_exchange", "another")
    yield made
    options.cleanUp()


@pytest.fixture(autouse=True)
def server(conf, endpoint) -> Iterator[Any]:
    made = make_server(conf, endpoint, AnswerSigner(SIGNER))
    made.start()
    yield made
    made.stop()
    made.wait()


def call(
    conf: cfg.ConfigOpts, method: str, context: dict[str, Any] | None = None, **arguments: Any
) -> dict[str, Any]:
    target = oslo_messaging.Target(exchange=EXCHANGE, topic=VERIFIER_TOPIC)
    transport = oslo_messaging.get_rpc_transport(conf)
    client = oslo_messaging.get_rpc_client(transport, target, timeout=PATIENCE)
    return client.call(context or {}, method, **arguments)


def ask(conf: cfg.ConfigOpts, context: dict[str, Any] | None = None) -> dict[str, Any]:
    return call(conf, "lease_delta", context, request={"since": 1})


def test_verifier_is_found_whatever_control_exchange_its_configuration_names(conf):
    assert ask(conf) == {"asked": {"since": 1}}


def test_answer_is_signed_for_who_wants_it_so(conf, tmp_path):
    pinned = PinnedKeys(pin(tmp_path / "keys.json", SIGNER))
    question = pinned.question("lease_delta", {"since": 1})
    assert question.reply(ask(conf, question.context())) == {"asked": {"since": 1}}


def test_what_is_answered_together_is_signed_for_each(conf, tmp_path):
    pinned = PinnedKeys(pin(tmp_path / "keys.json", SIGNER))

    def asked(number: int) -> dict[str, Any]:
        request = {"number": number}
        question = pinned.question("challenge", request)
        return question.reply(call(conf, "challenge", question.context(), request=request))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(asked, range(4))) == [{"nonce": {"number": n}} for n in range(4)]


def test_refusal_of_a_busy_verifier_is_signed_too(conf, tmp_path, monkeypatch):
    monkeypatch.setattr(WaitingLine, "_retry_after", lambda *_: 3.0)
    pinned = PinnedKeys(pin(tmp_path / "keys.json", SIGNER))
    question = pinned.question("lease_delta", {"since": 1})
    error = question.reply(ask(conf, question.context()))["error"]
    assert (error["code"], error["retry_after"]) == ("BUSY", 3.0)


NO_CALLS = [
    ({}, {"method": ["attest"], "args": {}}),
    ({}, {"method": {"attest": 1}, "args": {"request": 5}}),
    ({}, {"method": "challenge", "args": ["request"]}),
    ({}, {"method": "challenge", "args": {"request": {"purpose": ["launch"]}}}),
    ({}, {}),
    ({GIVE_UP_AFTER: 10**400}, {"method": "attest", "args": {}}),
    ({GIVE_UP_AFTER: float("nan")}, {"method": "attest", "args": {}}),
    ({GIVE_UP_AFTER: True}, {"method": "attest", "args": {}}),
    ({GIVE_UP_AFTER: ["soon"]}, {"method": "attest", "args": {}}),
]


def test_messages_that_are_no_calls_hold_up_nobody(conf):
    """oslo.messaging's listener stands still for a second after each error in its callback."""
    target = oslo_messaging.Target(exchange=EXCHANGE, topic=VERIFIER_TOPIC)
    transport = oslo_messaging.get_rpc_transport(conf)
    for context, message in NO_CALLS * 3:
        transport._send(target, context, message)
    assert ask(conf) == {"asked": {"since": 1}}


def test_those_who_come_meanwhile_are_answered_together_each_with_its_own(conf, endpoint):
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(call, conf, "attest", request=0)
        assert endpoint.entered.wait(PATIENCE)
        others = [pool.submit(call, conf, "attest", request=n) for n in (1, 2, 3)]
        # Calls of another kind go on meanwhile.
        assert call(conf, "challenge", request=9) == {"nonce": 9}
        endpoint.go_on.set()
        told = [one.result(PATIENCE) for one in (first, *others)]
    assert told == [{"answer": n} for n in range(4)]
    assert endpoint.groups[0] == [0]
    assert sorted(n for group in endpoint.groups[1:] for n in group) == [1, 2, 3]


def test_call_of_another_shape_goes_the_way_of_all_others(conf):
    assert call(conf, "challenge", something=1) == {"alone": True}


def test_server_that_ends_answers_whoever_waits(conf, endpoint, server):
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(call, conf, "attest", request=0)
        assert endpoint.entered.wait(PATIENCE)
        second = pool.submit(call, conf, "attest", request=1)
        waited = threading.Event()
        while not len(server.line):
            assert not waited.wait(0.01)
        server.stop()
        ended = pool.submit(server.wait)
        endpoint.go_on.set()
        ended.result(PATIENCE)
        assert [first.result(PATIENCE), second.result(PATIENCE)] == [{"answer": 0}, {"answer": 1}]
