# SPDX-License-Identifier: Apache-2.0
"""The RPC server: any number of workers share the topic."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import uuid
from collections.abc import Callable, Mapping
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
from e2etrust_verifier.rpc.waiting_line import Turn, WaitingLine, urgency_of
from e2etrust_verifier.trust.errors import VerifierBusy

LOG = logging.getLogger(__name__)

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
        self._called = threading.Lock()

    def _on_incoming(self, incoming: Any) -> None:
        call = incoming[0]
        kind = self._kind_of(call)
        self.line.add(incoming, urgency_of(call.message), _patience(call.ctxt), kind)
        self._call_a_thread()

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

    def _call_a_thread(self) -> None:
        """Have a thread look at the line, unless one is on its way already."""
        if not self.line.can_go() or not self._called.acquire(blocking=False):
            return
        try:
            self._work_executor.submit(self._serve)
        except RuntimeError:  # the server ends: those that serve go on until the line is empty
            self._called.release()

    def _serve(self) -> None:
        self._called.release()
        while (turn := self.line.take()) is not None:
            self._call_a_thread()  # for whoever else can go meanwhile
            try:
                self._serve_turn(turn)
            finally:
                self.line.done(turn)

    def _serve_turn(self, turn: Turn) -> None:
        if not turn.calls:
            LOG.debug("calls are dropped: their callers have given up")
        elif turn.kind is not None:
            self._serve_together(turn.kind, [one.call[0] for one in turn.calls])
        elif turn.calls[0].retry_after is None:
            self._process_incoming(turn.calls[0].call)
        else:
            busy = VerifierBusy(turn.calls[0].retry_after)
            self._reply(turn.calls[0].call[0], reply_error(busy))

    def _serve_together(self, method: str, calls: list[Any]) -> None:
        answers = self.together[method]([call.message["args"]["request"] for call in calls])
        for call, answer in zip(calls, answers, strict=True):
            self._reply(call, answer)

    def _reply(self, call: Any, answer: dict[str, Any]) -> None:
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
    """Return the transport; it gives a reply up whose queue is gone, unless *conf* has it wait.

    oslo.messaging waits a minute for that queue and holds a thread meanwhile: callers that died, or
    never were, would stop a worker.
    """
    rpc_transport(conf)  # has the driver's options registered
    with contextlib.suppress(cfg.NoSuchOptError, cfg.NoSuchGroupError):  # of another driver
        conf.set_default("kombu_missing_consumer_retry_timeout", 0, "oslo_messaging_rabbit")
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
