# SPDX-License-Identifier: Apache-2.0
"""An agent and a verifier as processes of their own, over a real broker, with a real TPM."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from e2etrust_agent.client import AgentClient, LaunchBegin, LaunchEnd, LaunchFinish
from e2etrust_agent.errors import AgentDownError
from e2etrust_core.launch import LaunchMeasurement, LaunchRequest
from e2etrust_core.messages import RemoteRefusal
from tests.functional.rabbitmq_fixture import Broker
from tests.functional.swtpm_fixture import EmulatedTpm
from tests.functional.verifier.conftest import write_conf, write_policy
from tests.functional.wire_fixture import Wire
from tests.unit.nova.hook.real_domain import DIRECTORY, INSTANCE

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
verifier_keys = {directory}/verifier-keys.json
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
    broker: Broker | Wire
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    domains: list[subprocess.Popen[bytes]] = field(default_factory=list)
    launches: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.directory / "domains").mkdir()
        database = f"sqlite:///{self.directory}/verifier.sqlite"
        self.conf = write_conf(self.directory, self.tpm, database, self.broker.url)
        self.accept()
        agent = self.directory / "agent.conf"
        agent.touch(mode=0o600)
        agent.write_text(
            AGENT_CONF.format(
                transport=self.broker.url, tcti=self.tpm.tcti, directory=self.directory
            )
        )
        self.client = AgentClient(self.directory / "run/agent.sock")
        self.manage("db", "sync")
        (self.directory / "verifier-keys.json").write_text(self.manage("key", "jwks"))

    def accept(self) -> None:
        """Have the policy accept what the TPM says now."""
        write_policy(self.directory, self.tpm, lease_seconds=6)

    def manage(self, *arguments: str) -> str:
        done = self.run("e2etrust-manage", "--config-file", str(self.conf), *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, *names: str) -> None:
        for name in names:
            config = self.conf if name == "verifier" else self.directory / "agent.conf"
            with (self.directory / f"{name}.log").open("ab") as log:
                self.processes[name] = subprocess.Popen(
                    [_program(f"e2etrust-{name}"), "--config-file", str(config)],
                    stdout=log,
                    stderr=log,
                    env=_environment(),
                )

    def stop(self, name: str, number: int = signal.SIGTERM) -> int:
        process = self.processes.pop(name)
        process.send_signal(number)
        return process.wait(timeout=PATIENCE)

    def mend(self) -> None:
        """Start what does not run, end what runs on the host, empty the logs."""
        self.end_domains()
        self.start(*{"verifier", "agent"} - self.processes.keys())
        until(self.trusted, "no lease came")
        for launch in self.launches:
            self.client.ended(LaunchEnd(INSTANCE, launch))
        self.launches.clear()
        until(lambda: self.client.status().reports_waiting == 0, "reports were not sent")
        for log in self.directory.glob("*.log"):
            log.write_bytes(b"")

    def trusted(self) -> bool:
        """Attest now."""
        try:
            return self.client.attest().trusted
        except (AgentDownError, RemoteRefusal):
            return False

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

    def select(self, query: str, *values: str) -> list[tuple[str]]:
        """Ask the verifier's database."""
        connection = sqlite3.connect(self.directory / "verifier.sqlite")
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()

    @property
    def domain_status(self) -> Path:
        return self.directory / "domains/instance-00000007.xml"

    def run_domain(self) -> None:
        """A process that looks like the QEMU of libvirt's status file."""
        program = self.directory / "qemu-system-test"
        if not program.exists():
            shutil.copy("/bin/sleep", program)
        process = subprocess.Popen([program, "600"])
        self.domains.append(process)
        text = (DIRECTORY / "status.xml").read_text()
        old = text[text.index(" pid='") :].split("'")[1]
        self.domain_status.write_text(text.replace(f" pid='{old}'", f" pid='{process.pid}'"))

    def end_domains(self) -> None:
        """End them behind the agent's back."""
        for process in self.domains:
            process.kill()
            process.wait()
        self.domains.clear()
        self.domain_status.unlink(missing_ok=True)

    def launch(self, key_id: str | None = None) -> tuple[str, bytes | None]:
        challenge = self.client.launch_begin(LaunchBegin(INSTANCE))
        assert challenge.lease is not None
        sealed = b"h" * 32 if key_id else None
        measurement = LaunchMeasurement(
            INSTANCE, b"f" * 32, b"m" * 32, challenge.lease, sealed, sealed
        )
        request = LaunchRequest(measurement, "vm", "p1", "i1", "trusted", key_id, vtpm=True)
        opened = self.client.launch_finish(LaunchFinish(challenge.nonce, request))
        self.launches.append(opened.launch)
        return opened.launch, opened.key

    def end(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()
        self.end_domains()

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [_program(program), *arguments], capture_output=True, text=True, env=_environment()
        )


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
