# SPDX-License-Identifier: Apache-2.0
"""Agents without hosts: they ask, sign and answer over the broker, many at once in one process.

``agents.py URL NUMBERS SECONDS AT_ONCE RATE``: agents of the hosts that *NUMBERS* (``from:to``)
name attest once each, which a line tells the end of, and then for *SECONDS*: *AT_ONCE* of them at a
time, or *RATE* of them a second where that is not 0.  A line of JSON tells what came of the latter.

They want their answers signed, as agents that pin the verifier's keys do.

As real agents do, they answer the challenge that came with the lease, and ask for one where none
did, or where it is old: the first time.

They speak oslo.messaging's envelope over plain AMQP, which costs this machine far less than its
client would: real agents run on machines of their own.  Keys are those of :func:`signer`, and every
quote is signed afresh over the verifier's nonce.
"""

from __future__ import annotations

import base64
import contextlib
import json
import random
import sys
import time
import uuid
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import amqp  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402

from e2etrust_agent.attestation import ANSWERED_WITHIN  # noqa: E402
from e2etrust_core import wire  # noqa: E402
from e2etrust_core.evidence.model import HostEvidence  # noqa: E402
from e2etrust_core.jws import ES256  # noqa: E402
from e2etrust_core.launch import attest_binding  # noqa: E402
from e2etrust_core.messages import EXCHANGE, VERIFIER_TOPIC, AttestRequest  # noqa: E402
from e2etrust_core.signed_answer import SIGN_FOR, SIGNED  # noqa: E402
from tests.unit.core.software_tpm import SoftwareTpm  # noqa: E402

#: Seconds after which an agent gives up, as [agent] rpc_timeout has it.
TIMEOUT = 5.0
#: So many ask for their first challenge at a time.
FIRST_AT_ONCE = 32
#: Seconds at the beginning that do not count.
WARM_UP = 2.0


def name_of_host(number: int) -> str:
    return f"host{number:05}"


def signer(number: int) -> SoftwareTpm:
    """Return the TPM of a host; the same one for the same number, in every process."""
    ek = ec.derive_private_key(2 * number + 3, ec.SECP256R1())
    ak = ec.derive_private_key(2 * number + 4, ec.SECP256R1())
    return SoftwareTpm(ek=ek, ak=ak)


@dataclass
class Call:
    """One call on its way."""

    number: int
    method: str
    began: float
    asked: float
    nonce: bytes = b""


class Load:
    def __init__(self, url: str, numbers: range) -> None:
        parts = urlsplit(url)
        self._connection = amqp.Connection(
            f"{parts.hostname}:{parts.port}", userid=parts.username, password=parts.password
        )
        self._connection.connect()
        self._channel = self._connection.channel()
        self._queue = f"reply_{uuid.uuid4().hex}"
        self._channel.queue_declare(self._queue, exclusive=True, auto_delete=True)
        self._channel.basic_consume(self._queue, no_ack=True, callback=self._answered)
        self._tpms = {number: signer(number) for number in numbers}
        for tpm in self._tpms.values():
            tpm.clock = time.monotonic_ns() // 1_000_000  # goes on from one run to the next
        self._idle = deque(numbers)
        #: By host: the challenge that came with its lease, and up to when it is answered.
        self._given: dict[int, tuple[dict[str, Any], float]] = {}
        self._calls: dict[str, Call] = {}
        self.seconds: list[float] = []
        self.refused: dict[str, int] = {}
        self.lost = self.leases = 0
        self.counting_from = self.counting_until = float("inf")
        self._next_look = self._spent = 0.0

    def run(self, seconds: float, at_once: int, rate: float) -> None:
        self._spent, began = time.process_time(), time.monotonic()
        self.leases = 0
        self.counting_from, until = began + WARM_UP, began + WARM_UP + seconds
        due = began
        while (now := time.monotonic()) < until:
            if rate:
                while due <= now and self._idle:
                    self._ask(due)
                    due += random.expovariate(rate)
            else:
                while len(self._calls) < at_once and self._idle:
                    self._ask(now)
            wait = min(max(due - now, 0.0005), 0.05) if rate else 0.05
            self._wait(wait)
        self.counting_until = until
        # A reply whose queue is gone holds a thread of the worker for a minute, and the next load
        # would measure that: so wait for what is under way.
        while self._calls:
            self._wait(0.05)

    def once(self, at_once: int) -> None:
        for _ in range(len(self._idle)):
            self._ask(time.monotonic())
            while len(self._calls) >= at_once:
                self._wait(0.05)
        while self._calls:
            self._wait(0.05)

    def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            self._connection.drain_events(timeout=seconds)
        if time.monotonic() >= self._next_look:  # answers to others may never cease
            self._give_up()

    def _ask(self, began: float) -> None:
        number = self._idle.popleft()
        given, until = self._given.pop(number, (None, 0.0))
        if given is not None and time.monotonic() < until:
            self._answer(number, began, given, given=True)
            return
        request = {"host": name_of_host(number), "purpose": "attest"}
        self._send(Call(number, "challenge", began, time.monotonic()), request)

    def _send(self, call: Call, request: dict[str, Any]) -> None:
        key = uuid.uuid4().hex
        self._calls[key] = call
        inner = {
            "method": call.method,
            "args": {"request": request},
            "version": "1.0",
            "_msg_id": key,
            "_reply_q": self._queue,
            "_unique_id": key,
            "_context_give_up_after": TIMEOUT,
            f"_context_{SIGN_FOR}": {"nonce": key, "algorithm": ES256},
        }
        body = {"oslo.version": "2.0", "oslo.message": json.dumps(inner)}
        message = amqp.Message(
            json.dumps(body),
            content_type="application/json",
            content_encoding="utf-8",
            expiration=str(int(TIMEOUT * 1000)),
        )
        self._channel.basic_publish(message, exchange=EXCHANGE, routing_key=VERIFIER_TOPIC)

    def _answered(self, message: Any) -> None:
        inner = json.loads(json.loads(message.body)["oslo.message"])
        call = self._calls.pop(inner["_msg_id"], None)
        if call is None:
            return
        reply = _signed(inner["result"]) if inner["result"] else None
        if reply is None or "error" in reply:
            code = reply["error"]["code"] if reply else "EXCEPTION"
            self.refused[code] = self.refused.get(code, 0) + 1
            self._idle.append(call.number)
            return
        now, result = time.monotonic(), reply["result"]
        if call.method == "challenge":
            self._answer(call.number, call.began, result, given=False)
            return
        self._idle.append(call.number)
        if not result["trusted"]:
            code = next(c["code"] for c in result["checks"] if c["outcome"] != "pass")
            self.refused[code] = self.refused.get(code, 0) + 1
            return
        self.leases += 1
        if (given := result["challenge"]) is not None:
            self._given[call.number] = (given, call.asked + given["expires_in"] * ANSWERED_WITHIN)
        if call.began >= self.counting_from and now <= self.counting_until:
            self.seconds.append(now - call.began)

    def _answer(self, number: int, began: float, challenge: dict[str, Any], *, given: bool) -> None:
        tpm = self._tpms[number]
        tpm.clock += 1
        nonce = base64.b64decode(challenge["nonce"])
        quote = tpm.quote(attest_binding(nonce, []), challenge["selection"])
        answer = AttestRequest(name_of_host(number), nonce, HostEvidence(quote), given=given)
        self._send(Call(number, "attest", began, time.monotonic()), wire.to_dict(answer))

    def _give_up(self) -> None:
        now = time.monotonic()
        self._next_look = now + 0.5
        for key in [k for k, call in self._calls.items() if now - call.asked > TIMEOUT]:
            self._idle.append(self._calls.pop(key).number)
            self.lost += 1

    def told(self) -> dict[str, Any]:
        return {
            "seconds": self.seconds,
            "refused": self.refused,
            "lost": self.lost,
            "leases": self.leases,
            "cpu": time.process_time() - self._spent,
        }


def _signed(answer: dict[str, Any]) -> Any:
    """Return the reply in a signed answer; checking it is the work of other machines."""
    body = answer[SIGNED].split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))["reply"]


def main() -> None:
    url, numbers, seconds, at_once, rate = sys.argv[1:]
    first, last = numbers.split(":")
    load = Load(url, range(int(first), int(last)))
    load.once(FIRST_AT_ONCE)
    print("each host once", flush=True)
    load.run(float(seconds), int(at_once), float(rate))
    print(json.dumps(load.told()))


if __name__ == "__main__":
    main()
