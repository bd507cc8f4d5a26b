# SPDX-License-Identifier: Apache-2.0
"""One worker with one thread over a real broker, and many more calls than it can serve."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import amqp
import pytest

from e2etrust_core.messages import EXCHANGE, VERIFIER_TOPIC, RemoteRefusal
from tests.functional.verifier.test_service import (  # noqa: F401 - fixtures
    attest_in_the_end,
    call,
    enrolled,
    service,
)

HAMMERS = 48

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def narrow(conf, **options) -> None:
    """Leave the worker one thread, and let it refuse soon."""
    lines = "".join(f"{name} = {value}\n" for name, value in options.items())
    text = conf.read_text().replace("[DEFAULT]\n", "[DEFAULT]\nexecutor_thread_pool_size = 1\n")
    conf.write_text(text.replace("[verifier]\n", f"[verifier]\n{lines}"))


class Hammer:
    """Asks for challenges as fast as it is answered, from many threads."""

    def __init__(self, call) -> None:  # noqa: F811
        self._call = call
        self._stop = threading.Event()
        self.codes: Counter[str] = Counter()
        self.retry_after: set[float] = set()
        self._threads = [threading.Thread(target=self._run) for _ in range(HAMMERS)]

    def __enter__(self) -> Hammer:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            request = {"host": "host1", "purpose": "attest"}
            error = self._call("challenge", request).get("error")
            self.codes[error["code"] if error else "ok"] += 1
            if error:
                self.retry_after.add(error["retry_after"])

    def until(self, true) -> None:
        deadline = time.monotonic() + 40
        while not true():
            assert time.monotonic() < deadline, self.codes
            time.sleep(0.1)


def test_busy_worker_refuses_by_type_serves_launches_and_recovers(service, call):  # noqa: F811
    made, tpm = service
    narrow(made.conf, busy_after=0)
    made.start()
    host = enrolled(tpm, call)
    answer = host.answer(host.challenge())
    with Hammer(call) as hammer:
        hammer.until(lambda: hammer.codes["BUSY"] >= 20)
        # Whoever has a challenge is served, a launch as well, while others are told to come again.
        assert host.send(answer).trusted
        assert host.launch().launch
        hammer.until(lambda: hammer.codes["ok"] >= 1)
    assert set(hammer.codes) == {"ok", "BUSY"}
    assert min(hammer.retry_after) >= 1.0
    assert attest_in_the_end(host).trusted
    assert host.delta().hosts[0].seconds > 0
    assert not made.manage("event", "list", "--kind", "lease-expired", "-f", "json")


@contextmanager
def connected(url: str) -> Iterator[amqp.Channel]:
    parts = urlsplit(url)
    connection = amqp.Connection(
        f"{parts.hostname}:{parts.port}", userid=parts.username, password=parts.password
    )
    connection.connect()
    yield connection.channel()
    connection.close()


def leave_call(channel: amqp.Channel) -> None:
    """Ask for a challenge, to be answered to the queue ``reply_late``."""
    key = uuid.uuid4().hex
    inner = {
        "method": "challenge",
        "args": {"request": {"host": "host1", "purpose": "attest"}},
        "version": "1.0",
        "_msg_id": key,
        "_unique_id": key,
        "_reply_q": "reply_late",
    }
    body = json.dumps({"oslo.version": "2.0", "oslo.message": json.dumps(inner)})
    message = amqp.Message(body, content_type="application/json", content_encoding="utf-8")
    channel.basic_publish(message, exchange=EXCHANGE, routing_key=VERIFIER_TOPIC)


def test_callers_that_are_gone_hold_up_nobody(service, call, rabbitmq):  # noqa: F811
    made, tpm = service
    narrow(made.conf)
    process = made.start()
    host = enrolled(tpm, call)
    with connected(rabbitmq.url) as channel:
        for _ in range(12):
            leave_call(channel)
        assert host.attest().trusted
    assert made.stop(process) == 0


def test_caller_whose_queue_comes_late_is_answered_from_then_on(service, call, rabbitmq):  # noqa: F811
    """As that of a host which asks before it is whole again, when the broker was restarted."""
    made, tpm = service
    narrow(made.conf)
    made.start()
    host = enrolled(tpm, call)
    with connected(rabbitmq.url) as channel:
        leave_call(channel)
        assert host.attest().trusted
        channel.queue_declare("reply_late", exclusive=True)
        leave_call(channel)
        assert host.attest().trusted
        assert channel.basic_get("reply_late", no_ack=True) is not None


def test_beyond_its_length_the_line_refuses_all_and_nothing_is_lost(service, call):  # noqa: F811
    made, tpm = service
    narrow(made.conf, waiting_max=4, busy_after=30)
    made.start()
    host = enrolled(tpm, call)
    with Hammer(call) as hammer:
        hammer.until(lambda: hammer.codes["BUSY"] >= 20 and hammer.codes["ok"] >= 20)
    assert set(hammer.codes) == {"ok", "BUSY"}
    with pytest.raises(RemoteRefusal, match="NONCE_UNKNOWN"):
        host.send(host.answer(host.challenge("launch")))
    assert host.attest().trusted
