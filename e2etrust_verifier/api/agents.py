# SPDX-License-Identifier: Apache-2.0
"""The one module of the API that speaks to agents (oslo.messaging)."""

from __future__ import annotations

import oslo_messaging
from oslo_config import cfg

from e2etrust_core import messages, wire
from e2etrust_verifier.api.errors import AgentUnreachable
from e2etrust_verifier.rpc.transport import rpc_transport


class Agents:
    """RPC client of the hosts' agents."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._transport = rpc_transport(conf)
        self._timeout = conf.verifier.agent_timeout

    def guest_evidence(self, host: str, ask: messages.GuestAsk) -> messages.ServerEvidence:
        """Have the agent of *host* collect a server's evidence.

        :raises AgentUnreachable: no answer in time.
        :raises messages.RemoteRefusal: the agent refused.
        """
        target = oslo_messaging.Target(
            exchange=messages.EXCHANGE, topic=messages.AGENT_TOPIC, server=host, version="1.0"
        )
        client = oslo_messaging.get_rpc_client(self._transport, target, timeout=self._timeout)
        try:
            answer = client.call({}, "guest_evidence", request=wire.to_dict(ask))
        except oslo_messaging.exceptions.MessagingException as exc:
            raise AgentUnreachable(f"the agent of {host} does not answer") from exc
        return messages.read_reply(messages.ServerEvidence, answer)
