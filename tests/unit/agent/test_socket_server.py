# SPDX-License-Identifier: Apache-2.0
"""The agent's socket: who may ask, and what comes of a bad question."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2etrust_agent.client import AgentClient, LaunchBegin
from e2etrust_agent.errors import AgentDownError, RequestError, StateError
from e2etrust_agent.socket_server import Operation, SocketServer
from e2etrust_core import wire
from e2etrust_core.messages import Challenge, RemoteRefusal, reply_error

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the agent's socket is for root")


def begin(request: LaunchBegin) -> Challenge:
    if request.instance == "refused":
        raise RequestError("no", code="LEASE_NONE", remedy="wait")
    if request.instance == "broken":
        raise ZeroDivisionError("a secret")
    if request.instance == "unreadable":
        raise PermissionError(13, "a secret")
    return Challenge(request.instance.encode(), 1.0, {"sha256": [0]}, False, "lease-1")


@pytest.fixture
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory, "run", "agent.sock")


@pytest.fixture
def server(path: Path) -> Iterator[SocketServer]:
    serving = SocketServer(path, {"launch_begin": Operation(begin, LaunchBegin)})
    serving.start()
    yield serving
    serving.stop(5)


def exchange(path: Path, line: bytes) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        connection.sendall(line)
        connection.shutdown(socket.SHUT_WR)
        return json.loads(connection.makefile("rb").readline())


def test_question_is_answered(server: SocketServer, path: Path) -> None:
    assert AgentClient(path).launch_begin(LaunchBegin("x")).nonce == b"x"


def test_refusal_keeps_code_reason_and_remedy(server: SocketServer, path: Path) -> None:
    with pytest.raises(RemoteRefusal) as caught:
        AgentClient(path).launch_begin(LaunchBegin("refused"))
    assert (caught.value.code, caught.value.reason, caught.value.remedy) == (
        "LEASE_NONE",
        "no",
        "wait",
    )


@pytest.mark.parametrize("failure", ["broken", "unreadable"])
def test_unforeseen_failure_tells_nothing_of_its_inside(
    server: SocketServer, path: Path, failure: str
) -> None:
    with pytest.raises(RemoteRefusal) as caught:
        AgentClient(path).launch_begin(LaunchBegin(failure))
    assert caught.value.code == "INTERNAL"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"not json\n",
        b"[]\n",
        b'{"op": "unknown"}\n',
        b'{"op": "launch_begin", "request": {}}\n',
        b'{"op": "launch_begin", "request": {"instance": 5}}\n',
    ],
)
def test_bad_question_gets_one_clear_answer(server: SocketServer, path: Path, line: bytes) -> None:
    assert exchange(path, line)["error"]["code"] in ("INPUT_MALFORMED", "REQUEST_MALFORMED")


def test_socket_is_for_root_alone(server: SocketServer, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_other_users_are_refused_even_where_the_mode_lets_them(
    server: SocketServer, path: Path
) -> None:
    path.chmod(0o666)
    code = (
        "import os, socket, sys\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
        "try: s.sendall(b'{}\\n'); s.shutdown(socket.SHUT_WR)\n"
        "except OSError: pass  # the refusal may be faster than the question\n"
        "print(s.makefile().readline())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["error"]["code"] == "PEER_REFUSED"


def test_refusal_that_is_faster_than_the_question_is_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.parent.mkdir()
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen(1)
    connect = socket.socket.connect

    def connect_and_be_refused(connection: socket.socket, address: str) -> None:
        connect(connection, address)
        refusing, _ = listening.accept()
        error = RequestError("no", code="PEER_REFUSED")
        refusing.sendall(wire.to_json(reply_error(error)) + b"\n")
        refusing.close()

    monkeypatch.setattr(socket.socket, "connect", connect_and_be_refused)
    with listening, pytest.raises(RemoteRefusal, match="PEER_REFUSED"):
        AgentClient(path).status()


def test_cve_2022_23950_socket_where_others_can_write_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.parent.chmod(0o777)
    with pytest.raises(StateError):
        SocketServer(path, {}).start()


def test_cve_2023_38200_connections_that_say_nothing_hold_up_nobody(
    server: SocketServer, path: Path
) -> None:
    silent = [socket.socket(socket.AF_UNIX) for _ in range(24)]
    try:
        for connection in silent:
            connection.connect(str(path))
            connection.sendall(b'{"op": ')
        assert AgentClient(path).launch_begin(LaunchBegin("x")).nonce == b"x"
    finally:
        for connection in silent:
            connection.close()


def test_stale_socket_of_a_killed_agent_is_replaced(path: Path) -> None:
    path.parent.mkdir(mode=0o755)
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))
    serving = SocketServer(path, {"launch_begin": Operation(begin, LaunchBegin)})
    serving.start()
    assert AgentClient(path).launch_begin(LaunchBegin("x")).nonce == b"x"
    serving.stop(5)
    assert not path.exists()


def test_nobody_there_is_agent_down(path: Path) -> None:
    with pytest.raises(AgentDownError) as caught:
        AgentClient(path).launch_begin(LaunchBegin("x"))
    assert caught.value.code == "AGENT_DOWN"


def test_socket_of_another_user_is_not_asked(server: SocketServer, path: Path) -> None:
    os.chown(path, 65534, 65534)
    with pytest.raises(AgentDownError, match="root"):
        AgentClient(path).launch_begin(LaunchBegin("x"))
