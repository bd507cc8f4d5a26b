# SPDX-License-Identifier: Apache-2.0
"""The RPC server: any number of workers share the topic."""

from __future__ import annotations

import contextlib
import logging
import socket
import uuid
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
from e2etrust_verifier.rpc.waiting_line import WaitingLine, urgency_of
from e2etrust_verifier.trust.errors import VerifierBusy

LOG = logging.getLogger(__name__)

#: Whoever says that it waits longer than a day is not believed.
_LONGEST_PATIENCE = 86400.0


class AdmittingServer(RPCServer):
    """Lets calls wait in a line of ours, not in the thread pool's, which knows no urgency."""

    line: WaitingLine
    signer: AnswerSigner

    def _on_incoming(self, incoming: Any) -> None:
        call = incoming[0]
        self.line.add(incoming, urgency_of(call.message), _patience(call.ctxt))
        self._work_executor.submit(self._serve_next)

    def _serve_next(self) -> None:
        waiting = self.line.take()
        if waiting is None:
            LOG.debug("a call is dropped: its caller has given up")
        elif waiting.retry_after is None:
            self._process_incoming(waiting.call)
        else:
            self._refuse(waiting.call[0], waiting.retry_after)

    def _refuse(self, call: Any, retry_after: float) -> None:
        try:
            call.reply(self.signer.signed(call, reply_error(VerifierBusy(retry_after))))
        except Exception:
            LOG.exception("a busy verifier's refusal cannot be sent")


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
    oslo_messaging.opts.set_defaults(conf, executor_thread_pool_size=THREADS)
    return server
