# SPDX-License-Identifier: Apache-2.0
"""A real RabbitMQ of the tests' own: private ports and directories, gone at the end.

``rabbitmq`` is one broker a session; ``rabbitmq.url`` is a transport_url.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.functional.server_fixture import free_port, serving

_PROGRAMS = "/usr/lib/rabbitmq/bin"
_SERVER = f"{_PROGRAMS}/rabbitmq-server"
_CONF = """listeners.tcp.1 = 127.0.0.1:{port}
default_user = tests
default_pass = tests
disk_free_limit.absolute = 10MB
log.console = false
"""


@dataclass
class Broker:
    """One node with its own name server (epmd), so that no other node of the machine is met."""

    directory: Path
    port: int = field(default_factory=free_port)
    epmd_port: int = field(default_factory=free_port)
    dist_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"rabbit://tests:tests@127.0.0.1:{self.port}/"

    def start(self) -> None:
        (self.directory / "rabbitmq.conf").write_text(_CONF.format(port=self.port))
        (self.directory / "plugins").write_text("[].")
        log = (self.directory / "output").open("ab")
        self.process = subprocess.Popen(
            [_SERVER], env=self._environment(), stdout=log, stderr=log, start_new_session=True
        )
        log.close()
        deadline = time.monotonic() + 90
        while not self._answers():
            ended = self.process.poll() is not None
            told = (self.directory / "output").read_text(errors="replace")[-2000:]
            assert not ended, f"rabbitmq ended at once: {told}"
            assert time.monotonic() < deadline, f"rabbitmq does not listen: {told}"
            time.sleep(0.2)

    def stop(self) -> None:
        """End the node; its queues stay on disk for the next start."""
        if self.process is None:
            return
        os.killpg(self.process.pid, 15)
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, 9)
            self.process.wait()
        self.process = None

    def control(self, *words: str) -> None:
        """Run rabbitmqctl."""
        command = [f"{_PROGRAMS}/rabbitmqctl", *words]
        done = subprocess.run(command, env=self._environment(), capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def signal(self, number: int) -> None:
        """Send a signal to all of the node, as SIGSTOP for one that does not move any more."""
        assert self.process is not None
        os.killpg(self.process.pid, number)

    def end(self) -> None:
        """Take the node away for good, and the name server that it started."""
        if self.process is not None:
            self.signal(9)
            self.process.wait()
        subprocess.run(["epmd", "-kill"], env=self._environment(), capture_output=True)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False

    def _environment(self) -> dict[str, str]:
        at = str(self.directory)
        return {
            "PATH": os.environ["PATH"],
            "HOME": at,
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            # It may be ended while it still knows of a node, as one that was just killed.
            "ERL_EPMD_RELAXED_COMMAND_CHECK": "1",
            "RABBITMQ_NODENAME": f"tests{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self.dist_port),
            "RABBITMQ_MNESIA_BASE": f"{at}/mnesia",
            "RABBITMQ_LOG_BASE": f"{at}/log",
            "RABBITMQ_CONFIG_FILE": f"{at}/rabbitmq.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{at}/plugins",
            "RABBITMQ_PID_FILE": f"{at}/pid",
            # Idle schedulers of Erlang wait busily otherwise.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none",
        }


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[Broker]:
    with serving(Broker) as broker:
        yield broker
