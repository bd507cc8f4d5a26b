# SPDX-License-Identifier: Apache-2.0
"""The service as it is run: processes, a real broker, and both going away at times."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import oslo_messaging
import pytest
import tenacity
from oslo_config import cfg
from standardwebhooks.webhooks import Webhook

from e2etrust_core.messages import EXCHANGE, VERIFIER_TOPIC, RemoteRefusal
from e2etrust_core.tpm.device import Tpm
from tests.functional.rabbitmq_fixture import Broker
from tests.functional.swtpm_fixture import EmulatedTpm
from tests.functional.verifier.conftest import write_conf
from tests.functional.verifier.host import Host
from tests.unit.verifier.notify.web_server import WebServer

ROOT = Path(__file__).resolve().parents[3]
BIN = Path(sys.executable).parent


@dataclass
class Service:
    """``e2etrust-verifier`` and ``e2etrust-manage`` over one configuration file."""

    conf: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def log(self) -> str:
        return (self.conf.parent / "log").read_text(errors="replace")

    def start(self) -> subprocess.Popen[bytes]:
        with (self.conf.parent / "log").open("ab") as log:
            before = log.tell()
            process = subprocess.Popen(
                [BIN / "e2etrust-verifier", "--config-file", str(self.conf)],
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
            )
        self.processes.append(process)
        deadline = time.monotonic() + 60
        while "e2etrust-verifier serves" not in self.log[before:]:
            assert process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.1)
        return process

    def stop(self, process: subprocess.Popen[bytes]) -> int:
        process.send_signal(signal.SIGTERM)
        return process.wait(timeout=40)

    def manage(self, *command: str) -> Any:
        done = subprocess.run(
            [BIN / "e2etrust-manage", "--config-file", str(self.conf), *command],
            capture_output=True,
            text=True,
            cwd=ROOT,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if "json" in command else done.stdout


@pytest.fixture
def service(tmp_path: Path, rabbitmq: Broker, migrated_url: str, swtpm_factory) -> Iterator:
    tpm: EmulatedTpm = swtpm_factory()
    made = Service(write_conf(tmp_path, tpm, migrated_url, rabbitmq.url))
    yield made, tpm
    for process in made.processes:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.fixture
def call(rabbitmq: Broker) -> Iterator:
    conf = cfg.CONF
    conf.reset()
    conf([], default_config_files=[])
    transport = oslo_messaging.get_rpc_transport(conf, rabbitmq.url)
    client = oslo_messaging.get_rpc_client(
        transport,
        oslo_messaging.Target(exchange=EXCHANGE, topic=VERIFIER_TOPIC, version="1.0"),
        timeout=10,
    )
    yield lambda method, request: client.call({}, method, request=request)
    transport.cleanup()


def enrolled(tpm: EmulatedTpm, call) -> Host:
    host = Host("host1", Tpm(tpm.tcti), call)
    host.enrol()
    return host


@tenacity.retry(
    retry=tenacity.retry_if_exception_type(
        (oslo_messaging.MessagingTimeout, oslo_messaging.MessageDeliveryFailure, RemoteRefusal)
    ),
    stop=tenacity.stop_after_delay(90),
    wait=tenacity.wait_fixed(1),
    reraise=True,
)
def attest_in_the_end(host: Host) -> Any:
    return host.attest()


def test_host_enrols_attests_and_launches_over_the_broker_and_a_restart_ends_no_lease(
    service, call
):
    made, tpm = service
    process = made.start()
    host = enrolled(tpm, call)
    lease = host.attest().lease
    assert host.launch().launch
    (row,) = made.manage("host", "list", "-f", "json")
    assert (row["host"], row["state"]) == ("host1", "trusted")
    kinds = [e["kind"] for e in made.manage("event", "list", "-f", "json")]
    assert kinds == ["launch-granted", "host-trusted", "host-enrolled"]
    assert made.stop(process) == 0
    made.start()
    assert host.challenge().lease == lease.id
    assert host.delta().hosts[0].seconds > 0


def test_two_workers_share_hosts_and_nonces(service, call):
    made, tpm = service
    first = made.start()
    second = made.start()
    host = enrolled(tpm, call)
    assert all(host.attest().trusted for _ in range(6))
    answer = host.answer(host.challenge())
    assert made.stop(first) == 0
    assert host.send(answer).trusted
    with pytest.raises(RemoteRefusal, match="NONCE_UNKNOWN"):
        host.send(answer)
    assert made.stop(second) == 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_service_survives_a_restart_of_the_broker(service, call, rabbitmq):
    made, tpm = service
    process = made.start()
    host = enrolled(tpm, call)
    assert host.attest().trusted
    rabbitmq.stop()
    rabbitmq.start()
    assert attest_in_the_end(host).trusted
    assert process.poll() is None
    assert made.stop(process) == 0


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
def test_service_survives_a_restart_of_the_database(service, call, mariadb):
    made, tpm = service
    process = made.start()
    host = enrolled(tpm, call)
    mariadb.stop()
    with pytest.raises((RemoteRefusal, oslo_messaging.MessagingTimeout)):
        host.attest()
    mariadb.start()
    assert attest_in_the_end(host).trusted
    assert process.poll() is None


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_lease_runs_out_by_itself_in_the_running_service(service, call):
    made, tpm = service
    policy = made.conf.parent / "policy.d/compute.yaml"
    policy.write_text(policy.read_text().replace("lease_seconds: 60", "lease_seconds: 1"))
    made.start()
    host = enrolled(tpm, call)
    assert host.attest().trusted
    deadline = time.monotonic() + 30
    while not host.delta().hosts[0].failed:
        assert time.monotonic() < deadline, made.log
        time.sleep(0.1)
    assert made.manage("event", "list", "--kind", "lease-expired", "-f", "json")
    (row,) = made.manage("host", "list", "-f", "json")
    assert row["state"] == "unknown"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_cve_2022_23952_configuration_that_others_read_stops_the_service(service):
    made, _tpm = service
    made.conf.chmod(0o644)
    done = subprocess.run(
        [BIN / "e2etrust-verifier", "--config-file", str(made.conf)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,  # a service that takes the file serves without end
    )
    assert done.returncode == 1
    assert "CONFIGURATION_OPEN" in done.stderr
    assert "chmod" in done.stderr


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
def test_what_was_decided_while_no_worker_ran_is_told_when_one_starts(service, call):
    made, tpm = service
    secret = base64.b64encode(bytes(range(32))).decode()
    path = made.conf.parent / "webhook-secret"
    path.touch(mode=0o600)
    path.write_text(f"whsec_{secret}\n")
    with WebServer(answers=["close", 503]) as server:
        made.conf.write_text(
            f"{made.conf.read_text()}[webhook]\nurls = {server.url()}\nsecret_file = {path}\n"
            "first_pause = 0.2\ntimeout = 1\n[outbox]\ninterval = 0.1\n"
        )
        process = made.start()
        enrolled(tpm, call)
        process.kill()
        process.wait()
        made.manage("host", "revoke", "host1")
        made.start()
        wait_until_heard(server, secret, {"e2etrust.host.enrolled", "e2etrust.host.revoked"}, made)


def wait_until_heard(server: WebServer, secret: str, types: set[str], made: Service) -> None:
    """Wait for all *types*, rightly signed; a dead worker's claim holds for 50 s at most."""
    deadline = time.monotonic() + 90
    while True:
        told = [
            Webhook(secret).verify(one.body.decode(), one.headers) for one in list(server.received)
        ]
        if not server.answers and {one["type"] for one in told} == types:
            return
        assert time.monotonic() < deadline, made.log
        time.sleep(0.1)
