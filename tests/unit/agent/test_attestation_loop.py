# SPDX-License-Identifier: Apache-2.0
"""The loop that keeps a host's lease alive goes on, whatever it is answered."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from e2etrust_agent.attestation import AttestationLoop
from e2etrust_agent.backoff import Backoff
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
