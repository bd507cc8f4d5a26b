# SPDX-License-Identifier: Apache-2.0
"""What the verifier may ask this host, over oslo.messaging (topic ``e2etrust.agent``)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import oslo_messaging

from e2etrust_core import messages, wire
from e2etrust_core.errors import E2ETrustError
from e2etrust_core.one_line import printable

LOG = logging.getLogger(__name__)


class AgentEndpoint:
    """The RPC methods; each takes ``request`` and answers a :class:`messages.Reply`."""

    target = oslo_messaging.Target(version="1.0")

    def __init__(
        self, guest_evidence: Callable[[messages.GuestAsk], messages.ServerEvidence]
    ) -> None:
        self._guest_evidence = guest_evidence

    def guest_evidence(self, ctxt: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - oslo.messaging's signature
        """``GuestAsk`` -> ``ServerEvidence``."""
        try:
            ask = wire.from_dict(messages.GuestAsk, request)
            return messages.reply_ok(self._guest_evidence(ask))
        except E2ETrustError as exc:
            LOG.warning("guest evidence: %s", printable(str(exc)))
            return messages.reply_error(exc)
        except Exception:
            LOG.exception("guest evidence failed in an unforeseen way")
            error = E2ETrustError("the agent failed; its log says how", code="INTERNAL")
            return messages.reply_error(error)


def rpc_server(
    transport: oslo_messaging.Transport, host: str, endpoint: AgentEndpoint
) -> oslo_messaging.MessageHandlingServer:
    """Return the server of this host's topic, not started yet."""
    target = oslo_messaging.Target(
        exchange=messages.EXCHANGE, topic=messages.AGENT_TOPIC, server=host
    )
    return oslo_messaging.get_rpc_server(
        transport,
        target,
        [endpoint],
        executor="threading",
        access_policy=oslo_messaging.rpc.dispatcher.DefaultRPCAccessPolicy,
    )
