# SPDX-License-Identifier: Apache-2.0
"""The scheduler's one question to the verifier, over oslo.messaging."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import oslo_messaging as messaging
from nova import rpc
from oslo_config import cfg
from oslo_log import log as logging

from e2etrust_core import wire
from e2etrust_core.bounded_call import BoundedCalls
from e2etrust_core.messages import EXCHANGE, VERIFIER_TOPIC, DeltaRequest, LeaseDelta, read_reply
from e2etrust_core.signed_answer import PinnedKeys
from e2etrust_nova.errors import NovaSideError

LOG = logging.getLogger(__name__)

#: On top of the call's own timeout, for what oslo.messaging does before and after waiting.
_GRACE = 0.5


class VerifierDownError(NovaSideError):
    """The verifier could not be asked."""

    code = "VERIFIER_DOWN"
    remedy = "Look at e2etrust-verifier and at the message bus between it and nova-scheduler."


class VerifierClient:
    """Asks for lease deltas; belongs to one process and is made after the fork.

    :param url: transport URL of the bus, empty for the transport that Nova has open.
    :param timeout: seconds that a question takes at the most.
    :param keys: by which answers are known; None: any answer is taken.
    """

    def __init__(
        self, conf: cfg.ConfigOpts, *, url: str, timeout: float, keys: PinnedKeys | None = None
    ) -> None:
        self._conf = conf
        self._url = url
        self._timeout = timeout
        self._keys = keys
        self._client: Any = None
        self._calls = BoundedCalls(timeout + _GRACE, "e2etrust-delta")

    def lease_delta(self, since: int) -> LeaseDelta:
        """Return what changed since generation *since*.

        :raises VerifierDownError: no answer in time, or no way to ask.
        :raises RemoteRefusal: the verifier answered with a refusal.
        :raises InputError: the answer is not one.
        :raises E2ETrustError: it is not signed as it must be (:mod:`e2etrust_core.signed_answer`).
        """
        request = wire.to_dict(DeltaRequest(since))
        if self._keys is None:
            return read_reply(LeaseDelta, self._bounded_call({}, request))
        question = self._keys.question("lease_delta", request)
        answer = self._bounded_call(question.context(), request)
        return read_reply(LeaseDelta, question.reply(answer))

    def _bounded_call(self, context: dict[str, Any], request: dict[str, Any]) -> Any:
        try:
            return self._calls.run(
                lambda: self._rpc().call(context, "lease_delta", request=request)
            )
        except TimeoutError as exc:
            raise VerifierDownError(f"the message bus does not take the question: {exc}") from None
        except messaging.MessagingTimeout:
            raise VerifierDownError(f"no answer in {self._timeout:g} s") from None
        except messaging.MessageUndeliverable:
            raise VerifierDownError("no verifier listens on the message bus") from None
        except Exception as exc:
            # Whatever else the bus or its driver raises means the same here: not asked.
            LOG.debug("Asking the verifier failed", exc_info=True)
            raise VerifierDownError(f"asking failed ({type(exc).__name__})") from None

    def _rpc(self) -> Any:
        if self._client is None:
            transport = (
                messaging.get_rpc_transport(self._conf, url=self._url)
                if self._url
                else rpc.TRANSPORT
            )
            self._client = messaging.get_rpc_client(
                transport,
                messaging.Target(exchange=EXCHANGE, topic=VERIFIER_TOPIC),
                timeout=self._timeout,
                retry=0,
                # A bus that never met a verifier says so at once instead of after the timeout.
                transport_options=messaging.TransportOptions(at_least_once=True),
            )
        return self._client


def verifier_client(conf: cfg.ConfigOpts, chosen: cfg.ConfigOpts.GroupAttr) -> VerifierClient:
    """Return a client as the options of group ``[e2etrust]`` have it."""
    keys = PinnedKeys(Path(chosen.verifier_keys)) if chosen.verifier_keys else None
    return VerifierClient(conf, url=chosen.transport_url, timeout=chosen.rpc_timeout, keys=keys)
