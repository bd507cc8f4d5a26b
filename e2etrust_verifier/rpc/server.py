# SPDX-License-Identifier: Apache-2.0
"""The RPC server: any number of workers share the topic."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import oslo_messaging
import oslo_messaging.opts
from oslo_config import cfg
from oslo_messaging.rpc.server import RPCServer

from e2etrust_core.messages import EXCHANGE, GIVE_UP_AFTER, VERIFIER_TOPIC, reply_error
from e2etrust_verifier.conf.load import THREADS
from e2etrust_verifier.rpc.endpoint import VerifierEndpoint
from e2etrust_verifier.rpc.signing import AnswerSigner, SigningDispatcher
from e2etrust_verifier.rpc.transport import rpc_transport
from e2etrust_verifier.rpc.waiting_line import REFUSED, Turn, Waiting, WaitingLine, urgency_of
from e2etrust_verifier.trust.errors import VerifierBusy

LOG = logging.getLogger(__name__)

#: oslo.messaging waits for the broker's word after each reply: of those that are due together one
#: thread sends so many, and so many threads help.
REPLIES, REPLIERS = 8, 4

#: Whoever says that it waits longer than a day is not believed.
_LONGEST_PATIENCE = 86400.0


class AdmittingServer(RPCServer):
    """Lets calls wait in a line of ours, not in the thread pool's, which knows no urgency.

    ``together`` has, by method, what answers several requests at once.
    """

    line: WaitingLine
    signer: AnswerSigner
    together: Mapping[str, Callable[[list[Any]], list[Any]]]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._called, self._lock = 0, threading.Lock()
        self._repliers = ThreadPoolExecutor(REPLIERS, "replies")

    def _on_incoming(self, incoming: Any) -> None:
        call = incoming[0]
        kind = self._kind_of(call)
        self.line.add(incoming, urgency_of(call.message), _patience(call.ctxt), kind)
        # A thread for each turn that can be taken now.  Only here: while the server ends its
        # thread pool hangs whoever asks it for one more, and nothing comes in any more.
        with self._lock:
            if self._called >= self.line.turns():
                return
            self._called += 1
        self._work_executor.submit(self._serve)

    def _kind_of(self, call: Any) -> str | None:
        """Return the method of a call as our agents make it; any other goes oslo.messaging's way.

        That checks versions and arguments, and tells callers who ask for it that it is alive.
        """
        message = call.message
        method, arguments = message.get("method"), message.get("args")
        if not isinstance(method, str) or method not in self.together or call.client_timeout:
            return None
        if not isinstance(arguments, dict) or set(arguments) != {"request"}:
            return None
        plain = message.get("version", "1.0") == "1.0" and message.get("namespace") is None
        return method if plain else None

    def _serve(self) -> None:
        with self._lock:
            self._called -= 1
        while (turn := self.line.take()) is not None:
            if turn.kind is None:
                self._serve_alone(turn.calls)
            else:
                self._serve_together(turn)

    def _serve_alone(self, calls: list[Waiting]) -> None:
        for one in calls:  # none where its caller has given up
            self._process_incoming(one.call)

    def _serve_together(self, turn: Turn) -> None:
        calls = [one.call[0] for one in turn.calls]
        try:
            answers = self._answers(turn, calls)
        finally:
            self.line.done(turn)
        replies = list(zip(calls, answers, strict=True))
        parts = [replies[first : first + REPLIES] for first in range(REPLIES, len(calls), REPLIES)]
        others = self._repliers.map(self._reply_each, parts)
        self._reply_each(replies[:REPLIES])
        list(others)  # all are sent before this thread is free, and the server can end

    def _answers(self, turn: Turn, calls: list[Any]) -> list[Any]:
        if turn.kind == REFUSED:
            return [reply_error(VerifierBusy(one.retry_after or 1.0)) for one in turn.calls]
        requests = [call.message["args"]["request"] for call in calls]
        return self.together[str(turn.kind)](requests) if requests else []

    def _reply_each(self, replies: list[tuple[Any, Any]]) -> None:
        for call, answer in replies:
            try:
                call.reply(self.signer.signed(call, answer))
            except Exception:
                LOG.exception("an answer cannot be sent")


def _patience(context: dict[str, Any]) -> float | None:
    """Return the seconds that a caller waits; it comes from the bus and may be anything."""
    told = context.get(GIVE_UP_AFTER)
    # A number has at most so much meaning; a float cannot hold the integers that JSON can.
    if isinstance(told, int | float) and 0 < told <= _LONGEST_PATIENCE:
        return float(told)
    return None


def _transport(conf: cfg.ConfigOpts) -> Any:
    """Return the transport; it forgets a reply whose queue is gone, unless *conf* says otherwise.

    oslo.messaging waits a minute for that queue and holds a thread meanwhile: callers that died, or
    never were, would stop a worker.  And it answers none who has that queue for another minute:
    after a broker's restart a host may ask before its queue is there again.
    """
    rpc_transport(conf)  # has the driver's options registered
    with contextlib.suppress(cfg.NoSuchOptError, cfg.NoSuchGroupError):  # of another driver
        conf.set_default("kombu_missing_consumer_retry_timeout", 0, "oslo_messaging_rabbit")
        conf.set_default("direct_mandatory_flag", False, "oslo_messaging_rabbit")
    return rpc_transport(conf)


def make_server(conf: cfg.ConfigOpts, endpoint: VerifierEndpoint, signer: AnswerSigner) -> Any:
    """Return the server, not started; executor_thread_pool_size is the number of its threads."""
    transport = _transport(conf)
    name = f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
    target = oslo_messaging.Target(exchange=EXCHANGE, topic=VERIFIER_TOPIC, server=name)
    server = oslo_messaging.get_rpc_server(
        transport, target, [endpoint], executor="threading", server_cls=AdmittingServer
    )
    server.line = WaitingLine(conf.verifier.busy_after, conf.verifier.waiting_max)
    server.signer = signer
    server.dispatcher = SigningDispatcher(server.dispatcher, signer)
    server.together = {"challenge": endpoint.challenge_each, "attest": endpoint.attest_each}
    oslo_messaging.opts.set_defaults(conf, executor_thread_pool_size=THREADS)
    return server
