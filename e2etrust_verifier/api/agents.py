# SPDX-License-Identifier: Apache-2.0
"""The one module of the API that speaks to agents (oslo.messaging)."""

from __future__ import annotations

import oslo_messaging
from kombu.exceptions import OperationalError
from oslo_config import cfg

from e2etrust_core import messages, wire
from e2etrust_core.bounded_call import BoundedCalls
from e2etrust_verifier.api.errors import AgentUnreachable
from e2etrust_verifier.rpc.transport import rpc_transport

#: Seconds on top of the call's own timeout, for what oslo.messaging does before and after.
GRACE = 5.0


class Agents:
    """RPC client of the hosts' agents."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._transport = rpc_transport(conf)
        self._timeout = conf.verifier.agent_timeout
        self._calls = BoundedCalls(self._timeout + GRACE, "agents")

    def guest_evidence(self, host: str, ask: messages.GuestAsk) -> messages.ServerEvidence:
        """Have the agent of *host* collect a server's evidence.

        :raises AgentUnreachable: no answer in time.
        :raises messages.RemoteRefusal: the agent refused.
        """
        target = oslo_messaging.Target(
            exchange=messages.EXCHANGE, topic=messages.AGENT_TOPIC, server=host, version="1.0"
        )
        client = oslo_messaging.get_rpc_client(
            self._transport, target, timeout=self._timeout, retry=1
        )
        question = wire.to_dict(ask)
        try:
            answer = self._calls.run(lambda: client.call({}, "guest_evidence", request=question))
        except (oslo_messaging.MessagingException, OperationalError, OSError) as exc:
            # TimeoutError is one of the last.  Others' words may hold the broker's account.
            raise AgentUnreachable(
                f"the agent of {host} does not answer ({type(exc).__name__})"
            ) from exc
        return messages.read_reply(messages.ServerEvidence, answer)
