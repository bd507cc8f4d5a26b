# SPDX-License-Identifier: Apache-2.0
"""The one module through which the agent speaks to the verifier, over oslo.messaging."""

from __future__ import annotations

from typing import TypeVar

import oslo_messaging
from kombu.exceptions import OperationalError

from e2etrust_agent.errors import VerifierDownError
from e2etrust_core import messages, wire
from e2etrust_core.signed_answer import PinnedKeys

T = TypeVar("T")


class VerifierBus:
    """Calls to whichever verifier worker takes them.

    Every method raises :class:`e2etrust_core.messages.RemoteRefusal` where the verifier refuses
    and :class:`VerifierDownError` where no answer comes within *timeout* seconds.  With *keys*
    every answer has to be signed by one of them, a refusal too: whatever else comes is raised as
    an error of :mod:`e2etrust_core.signed_answer`.
    """

    def __init__(
        self, transport: oslo_messaging.Transport, timeout: float, keys: PinnedKeys | None = None
    ) -> None:
        target = oslo_messaging.Target(exchange=messages.EXCHANGE, topic=messages.VERIFIER_TOPIC)
        # A call that cannot be sent now fails soon; whoever asked decides about later.  Not at
        # once: a connection that went silent is made anew only by a second try.
        self._context = {messages.GIVE_UP_AFTER: timeout}
        self._keys = keys
        self._client = oslo_messaging.get_rpc_client(transport, target, timeout=timeout, retry=1)

    @property
    def pins_keys(self) -> bool:
        return self._keys is not None

    def enrol_begin(self, request: messages.EnrolRequest) -> messages.EnrolChallenge:
        return self._call("enrol_begin", request, messages.EnrolChallenge)

    def enrol_finish(self, request: messages.EnrolAnswer) -> messages.EnrolResult:
        return self._call("enrol_finish", request, messages.EnrolResult)

    def challenge(self, request: messages.ChallengeRequest) -> messages.Challenge:
        return self._call("challenge", request, messages.Challenge)

    def attest(self, request: messages.AttestRequest) -> messages.AttestResult:
        return self._call("attest", request, messages.AttestResult)

    def launch(self, request: messages.LaunchAsk) -> messages.LaunchGrant:
        return self._call("launch", request, messages.LaunchGrant)

    def launch_update(self, request: messages.LaunchUpdate) -> None:
        self._call("launch_update", request, messages.Nothing)

    def report_refusal(self, request: messages.RefusalReport) -> None:
        self._call("report_refusal", request, messages.Nothing)

    def _call(self, method: str, request: object, kind: type[T]) -> T:
        plain = wire.to_dict(request)
        question = self._keys.question(method, plain) if self._keys is not None else None
        context = self._context if question is None else self._context | question.context()
        try:
            answer = self._client.call(context, method, request=plain)
        except (oslo_messaging.MessagingException, OperationalError, OSError) as exc:
            # The transport's own words may hold the broker's address and account.
            raise VerifierDownError(
                f"verifier does not answer ({method}: {type(exc).__name__})"
            ) from exc
        reply = answer if question is None else question.reply(answer)
        return messages.read_reply(kind, reply)
