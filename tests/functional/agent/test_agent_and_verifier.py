# SPDX-License-Identifier: Apache-2.0
"""Agent and verifier as processes of their own, over a real broker, with a real TPM."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time

import pytest

from e2etrust_agent.client import (
    LaunchBegin,
    LaunchEnd,
    LaunchFinish,
    LaunchStarted,
    RefusalNote,
    leave_refusal,
)
from e2etrust_core.launch import LaunchMeasurement, LaunchRequest
from e2etrust_core.messages import Refusal, RemoteRefusal
from e2etrust_core.tpm.device import open_tpm
from e2etrust_core.tpm.pcr import extend_pcr
from tests.functional.agent.stack import PATIENCE, Stack, until
from tests.functional.rabbitmq_fixture import Broker
from tests.functional.verifier.key_manager import DENIED, GRANTED, IMAGE_KEY
from tests.unit.nova.hook.real_domain import INSTANCE

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the agent's socket is for root")


def _refusal_codes(stack: Stack) -> list[str]:
    return [row[0] for row in stack.select("SELECT code FROM refusals ORDER BY id")]


def _launch_state(stack: Stack, launch: str) -> str:
    return stack.select("SELECT state FROM launches WHERE id = ?", launch)[0][0]


def test_host_tells_the_key_that_it_enrolled_with(leased: Stack) -> None:
    conf = str(leased.directory / "agent.conf")
    done = leased.run("e2etrust-agent", "--config-file", conf, "--show-identity")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    ((ek_public, suite),) = leased.select("SELECT ek_public, suite FROM hosts")
    assert shown["ek_sha256"] == hashlib.sha256(ek_public).hexdigest()
    assert (shown["host"], shown["suite"], shown["ek_certificate"]) == ("host1", suite, True)


def test_host_enrols_attests_and_keeps_renewing_its_lease(leased: Stack) -> None:
    first = leased.leased()
    until(lambda: leased.leased() not in (None, first), "the lease was not renewed")
    assert leased.client.status().problem is None


def test_attestation_on_demand_and_on_hangup(leased: Stack) -> None:
    summary = leased.client.attest()
    assert summary.trusted
    assert summary.lease == leased.leased()
    leased.processes["agent"].send_signal(signal.SIGHUP)
    until(lambda: leased.leased() not in (None, summary.lease), "SIGHUP did not attest")


def test_agent_restarted_is_the_same_host(leased: Stack) -> None:
    assert leased.stop("agent") == 0
    assert not (leased.directory / "run/agent.sock").exists()
    leased.start("agent")
    until(leased.leased, "no lease after the agent's restart")
    assert "host host1 is enrolled" in leased.log("agent")


def test_trust_returns_without_hands_when_the_verifier_comes_back(leased: Stack) -> None:
    leased.stop("verifier")
    until(lambda: leased.leased() is None, "the lease did not run out")
    assert leased.problem() == "VERIFIER_DOWN"
    with pytest.raises(RemoteRefusal) as caught:
        leased.launch()
    assert caught.value.code == "VERIFIER_DOWN"
    leased.start("verifier")
    until(leased.leased, "trust did not return")


def test_trust_returns_without_hands_when_the_broker_comes_back(
    leased: Stack, rabbitmq: Broker
) -> None:
    rabbitmq.stop()
    try:
        until(lambda: leased.leased() is None, "the lease did not run out")
        with pytest.raises(RemoteRefusal) as caught:
            leased.launch()
        assert caught.value.code == "VERIFIER_DOWN"
    finally:
        rabbitmq.start()
    until(leased.leased, "trust did not return")


def test_changed_pcr_ends_the_lease_and_refuses_launches(leased: Stack) -> None:
    with open_tpm(leased.tpm.tcti) as tpm:
        extend_pcr(tpm, 9, {"sha256": b"\1" * 32, "sha1": b"\1" * 20})
    summary = leased.client.attest()
    assert not summary.trusted
    assert [check.code for check in summary.failed] == ["PCR_MISMATCH"]
    with pytest.raises(RemoteRefusal) as caught:
        leased.launch()
    assert caught.value.code == "PCR_MISMATCH"
    assert leased.leased() is None
    leased.accept()
    assert leased.client.attest().trusted


def test_launch_opens_the_image_key_on_the_tpm(leased: Stack) -> None:
    launch, key = leased.launch(key_id=GRANTED)
    assert launch
    assert key == IMAGE_KEY
    for log in ("agent", "verifier"):
        assert key.hex() not in leased.log(log)


def test_denied_key_refuses_the_launch(leased: Stack) -> None:
    with pytest.raises(RemoteRefusal) as caught:
        leased.launch(key_id=DENIED)
    assert caught.value.code == "KEY_DENIED"


def test_domain_of_a_granted_launch_keeps_the_lease(leased: Stack) -> None:
    launch, _ = leased.launch()
    leased.run_domain()
    assert leased.client.attest().trusted  # granted, `started` not heard of yet
    leased.client.started(LaunchStarted(INSTANCE, launch))
    assert leased.client.attest().trusted
    leased.stop("agent")
    leased.start("agent")
    until(leased.leased, "the agent forgot the launch")


def test_domain_that_was_never_admitted_costs_the_lease(leased: Stack) -> None:
    leased.run_domain()
    summary = leased.client.attest()
    assert [check.code for check in summary.failed] == ["UNRECORDED_DOMAIN"]


def test_domain_started_again_behind_the_hook_inherits_no_launch(leased: Stack) -> None:
    launch, _ = leased.launch()
    leased.run_domain()
    leased.client.started(LaunchStarted(INSTANCE, launch))
    assert leased.client.attest().trusted
    leased.end_domains()
    leased.run_domain()
    summary = leased.client.attest()
    assert [check.code for check in summary.failed] == ["UNRECORDED_DOMAIN"]


def test_no_list_of_domains_no_evidence(leased: Stack) -> None:
    domains = leased.directory / "domains"
    domains.rmdir()
    try:
        with pytest.raises(RemoteRefusal) as caught:
            leased.client.attest()
        assert caught.value.code == "DOMAINS_UNREADABLE"
        assert leased.problem() == "DOMAINS_UNREADABLE"
    finally:
        domains.mkdir()


def test_refusals_wait_for_the_verifier_and_reach_it(leased: Stack) -> None:
    before = _refusal_codes(leased)
    leased.stop("verifier")
    note = RefusalNote(INSTANCE, "p1", Refusal("DISK_BUSY", "in use", "wait"), time.time())
    leased.client.refused(note)
    late = RefusalNote(INSTANCE, "p1", Refusal("AGENT_DOWN", "none", ""), time.time())
    leave_refusal(late, leased.directory / "state/reports")
    assert leased.client.status().reports_waiting == 2
    leased.start("verifier")
    until(lambda: leased.client.status().reports_waiting == 0, "reports were not sent")
    assert _refusal_codes(leased) == [*before, "DISK_BUSY", "AGENT_DOWN"]


def test_ended_launch_is_told(leased: Stack) -> None:
    launch, _ = leased.launch()
    leased.client.ended(LaunchEnd(INSTANCE, launch))
    until(lambda: leased.client.status().reports_waiting == 0, "the end was not told")
    assert _launch_state(leased, launch) == "ended"


def test_challenge_serves_one_launch_of_one_server(leased: Stack) -> None:
    challenge = leased.client.launch_begin(LaunchBegin(INSTANCE))
    other = LaunchMeasurement(
        "11111111-2222-4333-8444-555555555555", b"f" * 32, b"m" * 32, challenge.lease or ""
    )
    request = LaunchRequest(other, "vm", "p1", None, None, None)
    for _ in range(2):
        with pytest.raises(RemoteRefusal) as caught:
            leased.client.launch_finish(LaunchFinish(challenge.nonce, request))
        assert caught.value.code == "NONCE_UNKNOWN"


def test_second_agent_on_the_socket_is_refused(leased: Stack) -> None:
    first = leased.processes.pop("agent")
    leased.start("agent")
    second = leased.processes["agent"]
    leased.processes["agent"] = first
    assert second.wait(timeout=PATIENCE) == 1
    assert "AGENT_RUNS_ALREADY" in leased.log("agent")
    assert leased.leased() is not None


def test_agent_whose_demand_the_hook_would_not_see_does_not_start(leased: Stack) -> None:
    config = leased.directory / "demands.conf"
    config.touch(mode=0o600)
    text = (leased.directory / "agent.conf").read_text()
    config.write_text(f"{text}demand = always\n")
    done = leased.run("e2etrust-agent", "--config-file", str(config))
    assert done.returncode == 1
    assert "DEMAND_NOT_SEEN" in done.stderr
    assert "state_dir" in done.stderr
