# SPDX-License-Identifier: Apache-2.0
"""Agent and verifier as processes of their own, over a real broker, with a real TPM."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from e2etrust_agent.client import (
    AgentClient,
    LaunchBegin,
    LaunchEnd,
    LaunchFinish,
    LaunchStarted,
    RefusalNote,
    leave_refusal,
)
from e2etrust_agent.errors import AgentDownError
from e2etrust_core.launch import LaunchMeasurement, LaunchRequest
from e2etrust_core.messages import Refusal, RemoteRefusal
from e2etrust_core.tpm.device import open_tpm
from e2etrust_core.tpm.pcr import extend_pcr
from tests.functional.rabbitmq_fixture import Broker
from tests.functional.swtpm_fixture import EmulatedTpm
from tests.functional.verifier.conftest import write_conf, write_policy
from tests.functional.verifier.key_manager import DENIED, GRANTED, IMAGE_KEY
from tests.unit.nova.hook.real_domain import DIRECTORY, INSTANCE

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the agent's socket is for root")

AGENT_CONF = """[DEFAULT]
transport_url = {transport}
host = host1
[agent]
tcti = {tcti}
socket = {directory}/run/agent.sock
state_dir = {directory}/state
event_log =
domain_status_dir = {directory}/domains
rpc_timeout = 3
retry_interval = 0.3
retry_interval_max = 1
start_jitter = 0
start_grace = 30
"""
PATIENCE = 40.0


def until(true: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


@dataclass
class Stack:
    directory: Path
    tpm: EmulatedTpm
    broker: Broker
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    clients: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.directory / "domains").mkdir()
        database = f"sqlite:///{self.directory}/verifier.sqlite"
        self.conf = write_conf(self.directory, self.tpm, database, self.broker.url)
        write_policy(self.directory, self.tpm, lease_seconds=6)
        agent = self.directory / "agent.conf"
        agent.touch(mode=0o600)
        agent.write_text(
            AGENT_CONF.format(
                transport=self.broker.url, tcti=self.tpm.tcti, directory=self.directory
            )
        )
        self.client = AgentClient(self.directory / "run/agent.sock")
        self.manage("db", "sync")

    def manage(self, *arguments: str) -> str:
        done = self._run("e2etrust-manage", "--config-file", str(self.conf), *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, name: str) -> None:
        config = self.conf if name == "verifier" else self.directory / "agent.conf"
        log = (self.directory / f"{name}.log").open("ab")
        self.processes[name] = subprocess.Popen(
            [_program(f"e2etrust-{name}"), "--config-file", str(config)],
            stdout=log,
            stderr=log,
            env=_environment(),
        )
        log.close()

    def stop(self, name: str, number: int = signal.SIGTERM) -> int:
        process = self.processes.pop(name)
        process.send_signal(number)
        return process.wait(timeout=PATIENCE)

    def leased(self) -> str | None:
        try:
            return self.client.status().lease
        except AgentDownError:
            return None

    def problem(self) -> str | None:
        found = self.client.status().problem
        return found.code if found is not None else None

    def log(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text()

    def run_domain(self) -> subprocess.Popen[bytes]:
        """A process that looks like the QEMU of libvirt's status file."""
        program = self.directory / "qemu-system-test"
        shutil.copy("/bin/sleep", program)
        process = subprocess.Popen([program, "600"])
        self.clients.append(process)
        text = (DIRECTORY / "status.xml").read_text()
        old = text[text.index(" pid='") :].split("'")[1]
        status = self.directory / "domains/instance-00000007.xml"
        status.write_text(text.replace(f" pid='{old}'", f" pid='{process.pid}'"))
        return process

    def launch(self, key_id: str | None = None) -> tuple[str, bytes | None]:
        challenge = self.client.launch_begin(LaunchBegin(INSTANCE))
        assert challenge.lease is not None
        sealed = b"h" * 32 if key_id else None
        measurement = LaunchMeasurement(
            INSTANCE, b"f" * 32, b"m" * 32, challenge.lease, sealed, sealed
        )
        request = LaunchRequest(measurement, "vm", "p1", "i1", "trusted", key_id, vtpm=True)
        opened = self.client.launch_finish(LaunchFinish(challenge.nonce, request))
        return opened.launch, opened.key

    def end(self) -> None:
        for process in [*self.processes.values(), *self.clients]:
            process.kill()
            process.wait()

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [_program(program), *arguments], capture_output=True, text=True, env=_environment()
        )


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}


@pytest.fixture
def stack(rabbitmq: Broker, emulated_tpm: EmulatedTpm) -> Iterator[Stack]:
    with tempfile.TemporaryDirectory(prefix="agent") as directory:
        made = Stack(Path(directory), emulated_tpm, rabbitmq)
        try:
            made.start("verifier")
            made.start("agent")
            yield made
        finally:
            made.end()
            if rabbitmq.process is None:
                rabbitmq.start()


def _refusal_codes(stack: Stack) -> list[str]:
    return [row[0] for row in _select(stack, "SELECT code FROM refusals ORDER BY code")]


def _launch_state(stack: Stack, launch: str) -> str:
    return _select(stack, "SELECT state FROM launches WHERE id = ?", launch)[0][0]


def _select(stack: Stack, query: str, *values: str) -> list[tuple[str]]:
    connection = sqlite3.connect(stack.directory / "verifier.sqlite")
    try:
        return connection.execute(query, values).fetchall()
    finally:
        connection.close()


@pytest.fixture
def leased(stack: Stack) -> Stack:
    until(stack.leased, "no lease came")
    return stack


def test_host_tells_the_key_that_it_enrolled_with(stack: Stack) -> None:
    until(stack.leased, "no lease")
    conf = str(stack.directory / "agent.conf")
    done = stack._run("e2etrust-agent", "--config-file", conf, "--show-identity")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    with sqlite3.connect(stack.directory / "verifier.sqlite") as database:
        ((ek_public, suite),) = database.execute("SELECT ek_public, suite FROM hosts").fetchall()
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


def test_trust_returns_without_hands_when_the_broker_comes_back(leased: Stack) -> None:
    leased.broker.stop()
    until(lambda: leased.leased() is None, "the lease did not run out")
    with pytest.raises(RemoteRefusal) as caught:
        leased.launch()
    assert caught.value.code == "VERIFIER_DOWN"
    leased.broker.start()
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
    process = leased.run_domain()
    leased.client.started(LaunchStarted(INSTANCE, launch))
    assert leased.client.attest().trusted
    process.kill()
    process.wait()
    leased.run_domain()
    summary = leased.client.attest()
    assert [check.code for check in summary.failed] == ["UNRECORDED_DOMAIN"]


def test_no_list_of_domains_no_evidence(leased: Stack) -> None:
    (leased.directory / "domains").rmdir()
    with pytest.raises(RemoteRefusal) as caught:
        leased.client.attest()
    assert caught.value.code == "DOMAINS_UNREADABLE"
    assert leased.problem() == "DOMAINS_UNREADABLE"


def test_refusals_wait_for_the_verifier_and_reach_it(leased: Stack) -> None:
    leased.stop("verifier")
    note = RefusalNote(INSTANCE, "p1", Refusal("DISK_BUSY", "in use", "wait"), time.time())
    leased.client.refused(note)
    late = RefusalNote(INSTANCE, "p1", Refusal("AGENT_DOWN", "none", ""), time.time())
    leave_refusal(late, leased.directory / "state/reports")
    assert leased.client.status().reports_waiting == 2
    leased.start("verifier")
    until(lambda: leased.client.status().reports_waiting == 0, "reports were not sent")
    assert _refusal_codes(leased) == ["AGENT_DOWN", "DISK_BUSY"]


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
    leased.processes["first"] = leased.processes["agent"]
    leased.start("agent")
    assert leased.processes["agent"].wait(timeout=PATIENCE) == 1
    assert "AGENT_RUNS_ALREADY" in leased.log("agent")
    assert leased.leased() is not None


def test_agent_whose_demand_the_hook_would_not_see_does_not_start(stack: Stack) -> None:
    stack.stop("agent")
    config = stack.directory / "agent.conf"
    config.write_text(config.read_text() + "demand = always\n")
    done = stack._run("e2etrust-agent", "--config-file", str(config))
    assert done.returncode == 1
    assert "DEMAND_NOT_SEEN" in done.stderr
    assert "state_dir" in done.stderr
