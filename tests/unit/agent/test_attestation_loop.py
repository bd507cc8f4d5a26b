# SPDX-License-Identifier: Apache-2.0
"""The loop that keeps a host's lease alive goes on, whatever it is answered."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from e2etrust_agent.attestation import AttestationLoop
from e2etrust_agent.backoff import Backoff
from e2etrust_agent.errors import VerifierDownError
from e2etrust_agent.standing import StandingBoard
from e2etrust_core import messages


class Verifier:
    """Whoever answers in the verifier's name."""

    pins_keys = False

    def __init__(self, again_in: float) -> None:
        self.again_in = again_in
        self.twice = threading.Event()
        self.asked = 0

    def challenge(self, _request: object) -> SimpleNamespace:
        return SimpleNamespace(nonce=b"n")

    def attest(self, _request: object) -> messages.AttestResult:
        self.asked += 1
        if self.asked == 2:
            self.twice.set()
        return messages.AttestResult(True, [], messages.LeaseGrant("l", 1.0), self.again_in)


@pytest.mark.parametrize("again_in", [1e300, float("inf"), float("nan"), -5.0])
def test_word_out_of_reason_of_when_to_come_again_ends_no_loop(again_in):
    identity = SimpleNamespace(host="host1")
    attester = SimpleNamespace(identity=identity, evidence=lambda *_: None)
    verifier, board = Verifier(again_in), StandingBoard()
    board.enrolled()
    loop = AttestationLoop(attester, verifier, board, Backoff(1.0, 1.0))
    loop.start()
    try:
        while not verifier.twice.wait(0.05) and loop._thread.is_alive():
            loop.wake()
        assert verifier.twice.is_set()
    finally:
        loop.stop(5)


def test_first_attestations_of_hosts_that_boot_together_are_spread(monkeypatch):
    identity = SimpleNamespace(host="host1")
    attester = SimpleNamespace(identity=identity, evidence=lambda *_: None)
    verifier, board, slept = Verifier(10.0), StandingBoard(), []
    board.enrolled()
    loop = AttestationLoop(attester, verifier, board, Backoff(1.0, 1.0), start_jitter=30.0)

    def sleep(seconds: float) -> None:
        slept.append((seconds, verifier.asked))
        loop._stopping = verifier.asked > 0

    monkeypatch.setattr(loop, "_sleep", sleep)
    monkeypatch.setattr("e2etrust_agent.attestation.random.uniform", lambda _least, most: most)
    loop._run()
    assert slept == [(30.0, 0), (10.0, 1)]


def drawn(nonce: bytes, expires_in: float = 30.0) -> messages.Challenge:
    return messages.Challenge(nonce, expires_in, {"sha256": [0]}, event_log=False)


class HandingVerifier:
    """Gives the next challenge with each lease; ``refuse`` says what it refuses an answer with."""

    pins_keys = False

    def __init__(self, expires_in: float = 30.0) -> None:
        self.expires_in = expires_in
        self.calls: list[tuple[str, bytes]] = []
        self.refuse: Callable[[bytes], Exception | None] = lambda _nonce: None

    def challenge(self, _request: object) -> messages.Challenge:
        nonce = b"asked%d" % len(self.calls)
        self.calls.append(("challenge", nonce))
        return drawn(nonce)

    def attest(self, request: messages.AttestRequest) -> messages.AttestResult:
        assert request.given == request.nonce.startswith(b"given")
        self.calls.append(("attest", request.nonce))
        if (refusal := self.refuse(request.nonce)) is not None:
            raise refusal
        following = drawn(b"given%d" % len(self.calls), self.expires_in)
        lease = messages.LeaseGrant("l", 60.0)
        return messages.AttestResult(True, [], lease, 30.0, challenge=following)


def loop_with(verifier: HandingVerifier) -> AttestationLoop:
    identity = SimpleNamespace(host="host1")
    attester = SimpleNamespace(identity=identity, evidence=lambda *_: None)
    board = StandingBoard()
    board.enrolled()
    return AttestationLoop(attester, verifier, board, Backoff(1.0, 1.0))


def test_challenge_that_came_with_a_lease_is_answered_without_asking_for_one():
    verifier = HandingVerifier()
    loop = loop_with(verifier)
    for _ in range(3):
        assert loop.attest().trusted
    assert verifier.calls == [
        ("challenge", b"asked0"),
        ("attest", b"asked0"),
        ("attest", b"given2"),
        ("attest", b"given3"),
    ]


@pytest.mark.parametrize("code", ["NONCE_UNKNOWN", "EVIDENCE_STALE"])
def test_where_it_counts_no_more_a_new_one_is_asked_for_at_once(code):
    verifier = HandingVerifier()
    loop = loop_with(verifier)
    loop.attest()
    refusal = messages.RemoteRefusal("too late", code=code)
    verifier.refuse = lambda nonce: refusal if nonce.startswith(b"given") else None
    assert loop.attest().trusted
    assert verifier.calls[2:] == [
        ("attest", b"given2"),
        ("challenge", b"asked3"),
        ("attest", b"asked3"),
    ]


def test_what_a_fresh_challenge_is_refused_with_is_told_and_asked_no_second_time():
    verifier = HandingVerifier()
    refusal = messages.RemoteRefusal("too late", code="NONCE_UNKNOWN")
    verifier.refuse = lambda _nonce: refusal
    with pytest.raises(messages.RemoteRefusal):
        loop_with(verifier).attest()
    assert [method for method, _ in verifier.calls] == ["challenge", "attest"]


def test_challenge_whose_answer_got_lost_is_not_answered_again():
    """Nobody knows whether the verifier used it up."""
    verifier = HandingVerifier()
    loop = loop_with(verifier)
    loop.attest()
    verifier.refuse = lambda _nonce: VerifierDownError("no answer")
    with pytest.raises(VerifierDownError):
        loop.attest()
    verifier.refuse = lambda _nonce: None
    loop.attest()
    assert verifier.calls[2:] == [
        ("attest", b"given2"),
        ("challenge", b"asked3"),
        ("attest", b"asked3"),
    ]


def test_busy_verifier_is_answered_later_to_the_same_challenge():
    verifier = HandingVerifier()
    loop = loop_with(verifier)
    loop.attest()
    busy = messages.RemoteRefusal("busy", code="BUSY")
    busy.retry_after = 1.0
    verifier.refuse = lambda _nonce: busy
    with pytest.raises(messages.RemoteRefusal):
        loop.attest()
    verifier.refuse = lambda _nonce: None
    loop.attest()
    assert verifier.calls[2:] == [("attest", b"given2")] * 2


@pytest.mark.parametrize("expires_in", [0.0, -1.0, float("nan")])
def test_challenge_whose_time_is_over_is_not_answered(expires_in):
    verifier = HandingVerifier(expires_in)
    loop = loop_with(verifier)
    loop.attest()
    loop.attest()
    assert [method for method, _ in verifier.calls] == ["challenge", "attest"] * 2


def sleeps(loop: AttestationLoop, monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> float:
    """Attest once by *clock*; return the seconds that the host sleeps then, without jitter."""
    slept = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        loop._stopping = True

    monkeypatch.setattr(loop, "_sleep", sleep)
    monkeypatch.setattr("e2etrust_agent.attestation.time.monotonic", lambda: clock[0])
    monkeypatch.setattr("e2etrust_agent.attestation.random.uniform", lambda _least, most: most)
    loop._run()
    (seconds,) = slept
    return seconds


def test_host_comes_again_while_its_challenge_is_open(monkeypatch):
    loop = loop_with(HandingVerifier(expires_in=30.0))
    assert sleeps(loop, monkeypatch, [1000.0]) == pytest.approx(25.0)


def test_slow_answer_brings_no_host_sooner_where_its_challenge_is_nearly_over(monkeypatch):
    """Else a verifier that has too much to do has more to do."""
    verifier, clock = HandingVerifier(expires_in=30.0), [1000.0]
    answer = verifier.attest

    def slowly(request: messages.AttestRequest) -> messages.AttestResult:
        clock[0] += 20.0
        return answer(request)

    verifier.attest = slowly
    assert sleeps(loop_with(verifier), monkeypatch, clock) == 30.0


@pytest.mark.parametrize(("took", "calls"), [(4.9, 1), (5.1, 2)])
def test_answer_that_a_busy_tpm_made_too_late_is_not_sent(monkeypatch, took, calls):
    """The verifier would take a nonce that ran out for a stranger's, and tell of it."""
    verifier, clock = HandingVerifier(), [1000.0]
    loop = loop_with(verifier)
    monkeypatch.setattr("e2etrust_agent.attestation.time.monotonic", lambda: clock[0])
    loop.attest()
    verifier.calls.clear()
    clock[0] += 24.9  # of the 25 in which it is answered

    def evidence(challenge: messages.Challenge, _binding: object) -> None:
        if challenge.nonce.startswith(b"given"):
            clock[0] += took + 0.1

    loop._attester.evidence = evidence
    assert loop.attest().trusted
    assert len(verifier.calls) == calls
