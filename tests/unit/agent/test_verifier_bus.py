# SPDX-License-Identifier: Apache-2.0
"""Whoever writes to the message bus does not answer in the verifier's place."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import oslo_messaging
import pytest

from e2etrust_agent.attestation import AttestationLoop
from e2etrust_agent.backoff import Backoff
from e2etrust_agent.client.protocol import LaunchBegin, LaunchFinish, RefusalNote
from e2etrust_agent.launches import LaunchBook
from e2etrust_agent.launching import Launching
from e2etrust_agent.outbox import Outbox
from e2etrust_agent.standing import StandingBoard
from e2etrust_agent.verifier_bus import VerifierBus
from e2etrust_core import messages
from e2etrust_core.appraisal.model import CheckResult
from e2etrust_core.errors import E2ETrustError
from e2etrust_core.evidence.model import HostEvidence, Quote
from e2etrust_core.launch import LaunchMeasurement, LaunchRequest
from e2etrust_core.signed_answer import (
    KIND,
    SIGN_FOR,
    SIGNED,
    AnswerForgedError,
    AnswerUnsignedError,
    PinnedKeys,
    VerifierKeysError,
)
from e2etrust_verifier.rpc.signing import AnswerSigner
from tests.unit.verifier_key import new_signer, new_sm2_signer, pin

INSTANCE = "11111111-2222-4333-8444-555555555555"
CHALLENGE = messages.Challenge(b"n" * 16, 30.0, {"sha256": [0]}, False, lease="lease-1")
ASK = messages.ChallengeRequest("host1", "launch")
QUOTE = Quote(b"attest", b"signature", {"sha256": {0: b"v"}})

Answers = Callable[[str], dict[str, Any]]


def grants(method: str) -> dict[str, Any]:
    """What somebody would answer who wants every host to be trusted."""
    return messages.reply_ok(
        {
            "challenge": CHALLENGE,
            "attest": messages.AttestResult(True, [], messages.LeaseGrant("lease-1", 600.0)),
            "launch": messages.LaunchGrant("launch-1", "a.b.c"),
            "enrol_begin": messages.EnrolChallenge(""),
        }.get(method)
    )


class Client:
    """oslo.messaging's, over a wire of its own: JSON there and back, and one who answers."""

    def __init__(self, answers: Answers, signer: AnswerSigner) -> None:
        self._answers, self._signer = answers, signer

    def call(self, context: dict[str, Any], method: str, request: Any) -> Any:
        told = json.loads(json.dumps([context, {"method": method, "args": {"request": request}}]))
        incoming = SimpleNamespace(ctxt=told[0], message=told[1])
        reply = json.loads(json.dumps(self._answers(method)))
        return json.loads(json.dumps(self._signer.signed(incoming, reply)))


@pytest.fixture
def bus(monkeypatch) -> Callable[[Answers, AnswerSigner], None]:
    def start(answers: Answers, signer: AnswerSigner) -> None:
        made = Client(answers, signer)
        monkeypatch.setattr(oslo_messaging, "get_rpc_client", lambda *_, **__: made)

    return start


class NoSigner:
    """Of one who has no key of the verifier's: answers go as they are."""

    def signed(self, _call: Any, reply: dict[str, Any]) -> dict[str, Any]:
        return reply


@pytest.fixture
def key():
    return new_signer()


@pytest.fixture
def pinned(tmp_path, key):
    return PinnedKeys(pin(tmp_path / "keys.json", key))


def test_answer_that_the_verifier_signed_is_taken(bus, key, pinned):
    agent = VerifierBus(bus(grants, AnswerSigner(key)), 5, pinned)
    assert agent.challenge(ASK) == CHALLENGE


def test_refusal_that_the_verifier_signed_is_its_refusal(bus, key, pinned):
    refuses = lambda _: messages.reply_error(E2ETrustError("no", code="HOST_HELD"))  # noqa: E731
    agent = VerifierBus(bus(refuses, AnswerSigner(key)), 5, pinned)
    with pytest.raises(messages.RemoteRefusal) as caught:
        agent.challenge(ASK)
    assert caught.value.code == "HOST_HELD"


class Host:
    """An agent but for its TPM, which is none."""

    def __init__(self, tmp_path, agent: VerifierBus) -> None:
        identity = SimpleNamespace(
            host="host1",
            ek_public=b"ek",
            ek_certificate=None,
            ak=SimpleNamespace(suite="ecc-p256-sha256", public=b"ak"),
        )
        attester = SimpleNamespace(
            identity=identity,
            ek_chain=lambda: b"",
            evidence=lambda *_: HostEvidence(quote=QUOTE),
            unwrap=lambda _: b"k" * 32,
        )
        self.board, self.book = StandingBoard(), LaunchBook(tmp_path / "launches.json", 60)
        self.outbox = Outbox(tmp_path / "reports", "host1", agent, lambda _: QUOTE)
        loop = AttestationLoop(attester, agent, self.board, Backoff(1, 1))
        self.loop = loop
        self.launching = Launching(attester, agent, loop, self.book, self.outbox, lambda _: None)

    def launch(self) -> None:
        challenge = self.launching.begin(LaunchBegin(INSTANCE))
        measurement = LaunchMeasurement(INSTANCE, b"f", b"m", challenge.lease)
        asked = LaunchRequest(measurement, "vm", "p1", "i1", "trusted", None)
        self.launching.finish(LaunchFinish(challenge.nonce, asked))


def test_cve_2021_43310_impostor_on_the_bus_grants_no_lease_and_no_launch(bus, pinned, tmp_path):
    host = Host(tmp_path, VerifierBus(bus(grants, NoSigner()), 5, pinned))
    with pytest.raises(AnswerUnsignedError):
        host.launch()
    with pytest.raises(AnswerUnsignedError):
        host.loop.attest()
    assert (host.board.read().lease, len(host.book)) == (None, 0)


def test_without_pinned_keys_the_impostor_is_believed(bus, tmp_path):
    """What the warning at the agent's start is about."""
    host = Host(tmp_path, VerifierBus(bus(grants, NoSigner()), 5))
    host.launch()
    assert len(host.book) == 1


LINES = "x\n2026-01-01 00:00:00 1 INFO attested: lease made-up\x1b[2K"


def test_cve_2022_23949_answer_makes_no_line_of_its_own_in_the_agents_log(bus, tmp_path, caplog):
    def answers(method: str) -> dict[str, Any]:
        check = CheckResult(LINES, "fail", LINES, LINES, LINES)
        return (
            messages.reply_ok(messages.AttestResult(False, [check]))
            if method == "attest"
            else (grants(method))
        )

    host = Host(tmp_path, VerifierBus(bus(answers, NoSigner()), 5))
    host.loop.attest()
    lines = [record.getMessage() for record in caplog.records]
    assert any("made-up" in line for line in lines)
    assert [line for line in lines if not line.isprintable()] == []
    assert host.board.read().problem.reason.isprintable()


def test_cve_2022_23949_refusal_makes_no_line_of_its_own(bus):
    refuses = lambda _: messages.reply_error(E2ETrustError(LINES, code=LINES, remedy=LINES))  # noqa: E731
    with pytest.raises(messages.RemoteRefusal) as caught:
        VerifierBus(bus(refuses, NoSigner()), 5).challenge(ASK)
    told = caught.value
    assert (str(told) + told.remedy).isprintable()


def test_impostor_makes_no_host_drop_its_reports(bus, pinned, tmp_path):
    refuses = lambda _: messages.reply_error(E2ETrustError("no", code="INPUT"))  # noqa: E731
    host = Host(tmp_path, VerifierBus(bus(refuses, NoSigner()), 5, pinned))
    host.outbox.refused(RefusalNote(INSTANCE, "p1", messages.Refusal("LEASE_NONE", "none"), 1.0))
    with pytest.raises(AnswerUnsignedError):
        host.outbox.send_waiting()
    assert len(host.outbox) == 1


def test_impostor_with_a_key_of_his_own_is_not_believed(bus, pinned):
    agent = VerifierBus(bus(grants, AnswerSigner(new_signer())), 5, pinned)
    with pytest.raises(AnswerForgedError, match="key set"):
        agent.challenge(ASK)


def altered(claims: dict[str, Any]) -> dict[str, Any]:
    grant = messages.LaunchGrant("launch-1", "a.b.c", messages.WrappedKey(b"", b"", b"", {}))
    return claims | {"reply": messages.reply_ok(grant)}


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (lambda claims: claims | {"nonce": "0" * 32}, KIND),
        (lambda claims: claims | {"method": "launch"}, KIND),
        (lambda claims: claims | {"request": "AAAA"}, KIND),
        (lambda claims: claims, "eat+jwt"),
        (lambda claims: {"reply": claims["reply"]}, KIND),
    ],
    ids=["of another call", "of another method", "to another request", "no answer", "no claims"],
)
def test_what_the_verifier_signed_otherwise_is_no_answer(bus, key, pinned, spoil, kind):
    class Spoiling:
        def sign_claims(self, claims: dict[str, Any], _kind: str) -> str:
            return key.sign_claims(spoil(claims), kind)

    agent = VerifierBus(bus(grants, AnswerSigner(Spoiling())), 5, pinned)
    with pytest.raises(AnswerForgedError):
        agent.challenge(ASK)


def test_signed_answer_with_another_key_put_into_it_is_refused(bus, key, pinned):
    """The image key that comes with a launch is the verifier's, not one of somebody's."""

    class Altering:
        def sign_claims(self, claims: dict[str, Any], kind: str) -> str:
            head, _, signature = key.sign_claims(claims, kind).split(".")
            _, body, _ = key.sign_claims(altered(claims), kind).split(".")
            return f"{head}.{body}.{signature}"

    agent = VerifierBus(bus(grants, AnswerSigner(Altering())), 5, pinned)
    with pytest.raises(AnswerForgedError, match="signature"):
        agent.launch(messages.ChallengeRequest("host1", "launch"))  # type: ignore[arg-type]


def test_answer_recorded_before_is_good_for_no_second_call(bus, key, pinned):
    recorded: list[dict[str, Any]] = []

    class Replaying(AnswerSigner):
        def signed(self, call: Any, reply: dict[str, Any]) -> dict[str, Any]:
            recorded.append(super().signed(call, reply))
            return recorded[0]

    agent = VerifierBus(bus(grants, Replaying(key)), 5, pinned)
    assert agent.challenge(ASK) == CHALLENGE
    with pytest.raises(AnswerForgedError, match="another question"):
        agent.challenge(ASK)


def test_key_takes_the_place_of_another_without_a_restart(bus, key, tmp_path):
    """The set is read at each call: with both keys in it, the old one and the new one count."""
    path, new = pin(tmp_path / "keys.json", key), new_signer()
    signer = AnswerSigner(key)
    agent = VerifierBus(bus(grants, signer), 5, PinnedKeys(path))
    pin(path, new, key)
    assert agent.challenge(ASK) == CHALLENGE
    signer._usual = new
    assert agent.challenge(ASK) == CHALLENGE
    pin(path, new)
    signer._usual = key
    with pytest.raises(AnswerForgedError):
        agent.challenge(ASK)


@pytest.mark.parametrize("text", ["", "{}", '{"keys": []}', '{"keys": 7}', "no"])
def test_keys_that_cannot_be_read_are_believed_of_nobody(tmp_path, text):
    (tmp_path / "keys.json").write_text(text)
    with pytest.raises(VerifierKeysError):
        PinnedKeys(tmp_path / "keys.json").question("attest", {})


def test_missing_file_of_keys_is_a_refusal_and_no_unsigned_answer(tmp_path, bus):
    keys = PinnedKeys(tmp_path / "none.json")
    with pytest.raises(VerifierKeysError):
        VerifierBus(bus(grants, NoSigner()), 5, keys).challenge(ASK)


@pytest.mark.parametrize(
    ("chinese", "sets", "algorithm"),
    [
        (True, "both", "SM2-SM3"),
        (True, "usual", "ES256"),
        (False, "both", "ES256"),
        (False, "sm2", "SM2-SM3"),
    ],
)
def test_host_of_a_chinese_suite_has_answers_signed_with_sm2(
    bus, key, tmp_path, chinese, sets, algorithm
):
    sm2 = new_sm2_signer()
    signers = {"both": (key, sm2), "usual": (key,), "sm2": (sm2,)}[sets]
    pinned = PinnedKeys(pin(tmp_path / "keys.json", *signers), chinese=chinese)
    assert pinned.question("attest", {}).wanted.algorithm == algorithm
    agent = VerifierBus(bus(grants, AnswerSigner(key, sm2)), 5, pinned)
    assert agent.challenge(ASK) == CHALLENGE


def test_host_that_expects_sm2_takes_no_other_signature(bus, key, tmp_path):
    keys = PinnedKeys(pin(tmp_path / "keys.json", key, new_sm2_signer()), chinese=True)
    agent = VerifierBus(bus(grants, AnswerSigner(key)), 5, keys)
    with pytest.raises(AnswerForgedError, match="algorithm"):
        agent.challenge(ASK)


@pytest.mark.parametrize("wanted", [7, {}, {"nonce": 1, "algorithm": "ES256"}, ["x"]])
def test_asker_who_wants_nonsense_is_answered_unsigned(key, wanted):
    call = SimpleNamespace(ctxt={SIGN_FOR: wanted}, message={})
    assert AnswerSigner(key).signed(call, {"result": {}}) == {"result": {}}


def test_busy_verifier_signs_its_refusal(key, pinned):
    """Its word of when to come again counts only so."""
    question = pinned.question("attest", {"host": "host1"})
    message = {"method": "attest", "args": {"request": {"host": "host1"}}}
    call = SimpleNamespace(ctxt=question.context(), message=json.loads(json.dumps(message)))
    reply = messages.reply_error(E2ETrustError("busy", code="BUSY"))
    answer = AnswerSigner(key).signed(call, reply)
    assert set(answer) == {SIGNED}
    assert question.reply(answer)["error"]["code"] == "BUSY"
