# SPDX-License-Identifier: Apache-2.0
"""A tenant's question to a guest; what the guest says is taken as hostile."""

from __future__ import annotations

import base64
import json
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from e2etrust_agent import guest_channel
from e2etrust_agent.domains import QemuDomain
from e2etrust_agent.errors import GuestError, RequestError
from e2etrust_agent.guest import PROGRAM, GuestRelay
from e2etrust_agent.guest_channel import QemuGuestAgent
from e2etrust_core.evidence.model import Quote
from e2etrust_core.launch import server_binding
from e2etrust_core.messages import GuestAsk

INSTANCE = "7c0cd5a2-4a7f-4c3e-9d5e-3f1d1b1f2a10"
NONCE = b"n" * 16


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


IDENTITY = {
    "ek_public": b64(b"ek"),
    "ek_certificate": None,
    "ak_public": b64(b"ak"),
    "event_log": b64(b"log"),
}
QUOTE = {
    "attest": b64(b"attest"),
    "signature": b64(b"signature"),
    "pcrs": {"sha256": {"0": "00" * 32}},
    "activated": "aa",
}


class Guest:
    def __init__(self) -> None:
        self.answers: dict[str, bytes] = {
            "identity": json.dumps(IDENTITY).encode(),
            "quote": json.dumps(QUOTE).encode(),
        }
        self.asked: list[list[str]] = []

    def run(self, instance: str, argv: list[str]) -> bytes:
        self.asked.append(argv)
        return self.answers[argv[1]]


class Host:
    def __init__(self) -> None:
        self.guest = Guest()
        self.launches: list[str | None] = ["launch-1", "launch-1"]
        self.qualifying: list[bytes] = []
        attester = SimpleNamespace(identity=SimpleNamespace(host="host1"), quote=self._quote)
        self.selections: list[Any] = []
        book = SimpleNamespace(
            launch_of=lambda domain: self.launches.pop(0),
            selection_of=lambda launch: {"sha256": [0, 14]},
        )
        domain = QemuDomain(INSTANCE, "vm", True, 1, 1)
        self.relay = GuestRelay(attester, book, lambda i: domain, self.guest)  # type: ignore[arg-type]

    def _quote(self, qualifying: bytes, selection: Any) -> Quote:
        self.qualifying.append(qualifying)
        self.selections.append(selection)
        return Quote(b"a", b"s", {})


def full_ask(nonce: bytes = NONCE) -> GuestAsk:
    return GuestAsk(INSTANCE, nonce, b"credential", b"secret")


def test_first_round_gives_the_guests_keys_only() -> None:
    host = Host()
    told = host.relay.evidence(GuestAsk(INSTANCE, NONCE))
    assert (told.host, told.launch, told.identity.ak_public) == ("host1", "launch-1", b"ak")
    assert told.guest is None
    assert host.guest.asked == [[PROGRAM, "identity"]]


def test_second_round_binds_the_hosts_quote_to_the_guests() -> None:
    host = Host()
    told = host.relay.evidence(full_ask())
    assert host.guest.asked[1] == [
        PROGRAM,
        "quote",
        NONCE.hex(),
        b64(b"credential"),
        b64(b"secret"),
    ]
    assert told.guest is not None
    assert told.guest.activated == b"\xaa"
    assert told.guest.quote.pcrs == {"sha256": {0: bytes(32)}}
    assert host.qualifying == [server_binding(NONCE, "launch-1", told.guest)]


def test_tenants_that_ask_at_once_do_not_queue_before_the_tpm() -> None:
    """They could have held up the host's own attestation until its lease was over."""
    host = Host()
    host.launches = ["launch-1"] * 16
    at_once, most = [], []

    def quote(qualifying: bytes, selection: Any) -> Quote:
        at_once.append(qualifying)
        time.sleep(0.01)  # as long as it takes that the others are here too
        most.append(len(at_once))
        at_once.remove(qualifying)
        return Quote(b"a", b"s", {})

    host.relay._attester.quote = quote
    threads = [
        threading.Thread(target=host.relay.evidence, args=(full_ask(bytes([n]) * 16),))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 8


def test_server_without_a_launch_is_refused_before_the_guest_is_asked() -> None:
    host = Host()
    host.launches = [None]
    with pytest.raises(RequestError) as caught:
        host.relay.evidence(full_ask())
    assert caught.value.code == "NO_LAUNCH"
    assert host.guest.asked == []


def test_server_started_anew_meanwhile_is_refused() -> None:
    host = Host()
    host.launches = ["launch-1", "launch-2"]
    with pytest.raises(RequestError, match="meanwhile"):
        host.relay.evidence(full_ask())


@pytest.mark.parametrize("nonce", [b"", b"short", b"n" * 33])
def test_nonce_of_another_length_is_refused(nonce: bytes) -> None:
    with pytest.raises(RequestError):
        Host().relay.evidence(full_ask(nonce))


@pytest.mark.parametrize(
    ("op", "answer"),
    [
        ("identity", b""),
        ("identity", b"[]"),
        ("identity", b'{"ek_public": 1}'),
        ("quote", json.dumps({**QUOTE, "pcrs": {"sha256": {"0": "zz"}}}).encode()),
        ("quote", json.dumps({**QUOTE, "pcrs": {"sha256": {"x": "00"}}}).encode()),
        ("quote", json.dumps({**QUOTE, "activated": "z"}).encode()),
        ("quote", b"\xff\xfe"),
    ],
)
def test_guests_nonsense_is_refused_by_name(op: str, answer: bytes) -> None:
    host = Host()
    host.guest.answers[op] = answer
    with pytest.raises(GuestError) as caught:
        host.relay.evidence(full_ask())
    assert caught.value.code == "GUEST_MALFORMED"


def run_with(monkeypatch: pytest.MonkeyPatch, *answers: Any) -> tuple[bytes, list[Any]]:
    """Run a program through the guest agent's protocol; *answers* come one a command."""
    asked: list[Any] = []
    left = list(answers)

    def command(domain: Any, text: str, timeout: int, flags: int) -> str:
        asked.append(json.loads(text))
        answer = left.pop(0) if len(left) > 1 else left[0]
        return answer if isinstance(answer, str) else json.dumps({"return": answer})

    connection = SimpleNamespace(lookupByUUIDString=lambda u: None, close=lambda: None)
    monkeypatch.setattr(guest_channel.libvirt, "open", lambda uri: connection)
    monkeypatch.setattr(guest_channel.libvirt_qemu, "qemuAgentCommand", command)
    monkeypatch.setattr(guest_channel, "POLL", 0)
    return QemuGuestAgent("test", timeout=0.2).run(INSTANCE, ["/p", "a"]), asked


def test_program_is_run_and_its_output_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    done = {"exited": True, "exitcode": 0, "out-data": b64(b"hello")}
    output, asked = run_with(monkeypatch, {"pid": 7}, {"exited": False}, done)
    assert output == b"hello"
    assert asked[0]["arguments"] == {"path": "/p", "arg": ["a"], "capture-output": True}
    assert asked[1]["arguments"] == {"pid": 7}


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ({"exited": True, "exitcode": 1}, "GUEST_FAILED"),
        ({"exited": True, "signal": 9}, "GUEST_FAILED"),
        ({"exited": True, "exitcode": 0, "out-data": "$$"}, "GUEST_MALFORMED"),
        ({"exited": True, "exitcode": 0, "out-data": 5}, "GUEST_MALFORMED"),
        ({"exited": True, "exitcode": 0, "out-data": "", "out-truncated": True}, "GUEST_MALFORMED"),
        ({"exited": False}, "GUEST_TIMEOUT"),
        ('{"error": {}}', "GUEST_MALFORMED"),
        ("nonsense", "GUEST_MALFORMED"),
    ],
)
def test_program_that_fails_is_told_apart(
    monkeypatch: pytest.MonkeyPatch, status: Any, code: str
) -> None:
    with pytest.raises(GuestError) as caught:
        run_with(monkeypatch, {"pid": 7}, status)
    assert caught.value.code == code


def test_host_quotes_the_pcrs_that_its_launch_was_quoted_with() -> None:
    host = Host()
    host.relay.evidence(full_ask())
    assert host.selections == [{"sha256": [0, 14]}]
