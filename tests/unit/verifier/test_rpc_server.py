# SPDX-License-Identifier: Apache-2.0
"""Where the verifier listens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
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


class Endpoint:
    target = oslo_messaging.Target(version="1.0")

    def lease_delta(self, _context: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
        return {"asked": request}


@pytest.fixture
def conf() -> Iterator[cfg.ConfigOpts]:
    made = cfg.ConfigOpts()
    made.register_opts(verifier.OPTIONS, verifier.GROUP)
    made([], project="verifier", default_config_files=[])
    options = conffixture.ConfFixture(made, transport_url="fake://")
    options.setUp()
    made.set_override("control_exchange", "another")
    server = make_server(made, Endpoint(), AnswerSigner(SIGNER))
    server.start()
    try:
        yield made
    finally:
        server.stop()
        server.wait()
        options.cleanUp()


def ask(conf: cfg.ConfigOpts, context: dict[str, Any] | None = None) -> dict[str, Any]:
    target = oslo_messaging.Target(exchange=EXCHANGE, topic=VERIFIER_TOPIC)
    transport = oslo_messaging.get_rpc_transport(conf)
    client = oslo_messaging.get_rpc_client(transport, target, timeout=5)
    return client.call(context or {}, "lease_delta", request={"since": 1})


def test_verifier_is_found_whatever_control_exchange_its_configuration_names(conf):
    assert ask(conf) == {"asked": {"since": 1}}


def test_answer_is_signed_for_who_wants_it_so(conf, tmp_path):
    pinned = PinnedKeys(pin(tmp_path / "keys.json", SIGNER))
    question = pinned.question("lease_delta", {"since": 1})
    assert question.reply(ask(conf, question.context())) == {"asked": {"since": 1}}


def test_refusal_of_a_busy_verifier_is_signed_too(conf, tmp_path, monkeypatch):
    take = WaitingLine.take
    monkeypatch.setattr(WaitingLine, "take", lambda line: replace(take(line), retry_after=3.0))
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
