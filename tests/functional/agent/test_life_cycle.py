# SPDX-License-Identifier: Apache-2.0
"""Agent and verifier when processes die, wires break and clocks are wrong: they come back."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.agent.stack import Stack, until
from tests.functional.rabbitmq_fixture import Broker
from tests.functional.swtpm_fixture import EmulatedTpm
from tests.functional.wire_fixture import Wire

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the agent's socket is for root")

#: A dead connection is seen after so many seconds; 60 is oslo.messaging's own choice.
HEARTBEAT = """[oslo_messaging_rabbit]
heartbeat_timeout_threshold = 4
heartbeat_rate = 2
kombu_reconnect_delay = 0.2
"""
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"


@pytest.fixture
def wire(rabbitmq: Broker) -> Iterator[Wire]:
    made = Wire(rabbitmq)
    yield made
    made.close()


@pytest.fixture
def wired(wire: Wire, emulated_tpm: EmulatedTpm) -> Iterator[Stack]:
    """Agent and verifier that reach the broker over *wire*, and hold a lease."""
    with tempfile.TemporaryDirectory(prefix="agent") as directory:
        made = Stack(Path(directory), emulated_tpm, wire)
        for path in (made.conf, made.directory / "agent.conf"):
            path.write_text(f"{path.read_text()}{HEARTBEAT}")
        try:
            made.mend()
            yield made
        finally:
            made.end()


def new_lease(stack: Stack, than: str | None) -> None:
    until(lambda: stack.leased() not in (None, than), "the host was not attested again")


def test_connection_that_is_gone_is_made_anew_by_both_ends(wired: Stack, wire: Wire):
    assert wire.connections >= 2
    old = wired.leased()
    wire.cut()
    new_lease(wired, than=old)
    wire.silence()
    until(lambda: wired.leased() is None, "the lease did not run out")
    new_lease(wired, than=None)
    assert "no lease: VERIFIER_DOWN" in wired.log("agent")
    for name in ("agent", "verifier"):
        assert wired.processes[name].poll() is None


def test_agent_killed_while_it_quotes_starts_again_as_the_same_host(leased: Stack):
    tpm = leased.tpm.process
    assert tpm is not None
    tpm.send_signal(signal.SIGSTOP)
    try:
        # It asked for a challenge meanwhile and waits for the TPM.
        until(lambda: leased.leased() is None, "the lease did not run out")
        leased.stop("agent", signal.SIGKILL)
    finally:
        tpm.send_signal(signal.SIGCONT)
    leased.start("agent")
    until(leased.leased, "no lease after the agent was killed")
    assert "host host1 is enrolled" in leased.log("agent")


@pytest.mark.parametrize("shift", ["+366d", "-366d"])
def test_hosts_clock_is_of_no_matter(leased: Stack, monkeypatch: pytest.MonkeyPatch, shift: str):
    leased.stop("agent")
    monkeypatch.setenv("LD_PRELOAD", FAKETIME)
    monkeypatch.setenv("FAKETIME", shift)
    monkeypatch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    monkeypatch.setenv("FAKETIME_DONT_RESET", "1")
    leased.start("agent")
    monkeypatch.undo()
    until(leased.leased, "no lease with a wrong clock")
    first = leased.leased()
    assert 0 < leased.client.status().lease_seconds <= 6
    new_lease(leased, than=first)
    launch, _ = leased.launch()
    assert launch
    year = leased.log("agent").splitlines()[-1][:4]
    assert year != time.strftime("%Y")  # it was wrong indeed
    leased.stop("verifier")
    until(lambda: leased.leased() is None, "the lease did not run out")
    leased.stop("agent")
