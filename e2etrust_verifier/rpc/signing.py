# SPDX-License-Identifier: Apache-2.0
"""Answers are signed for those who ask for it (:mod:`e2etrust_core.signed_answer`)."""

from __future__ import annotations

from typing import Any

from oslo_messaging.rpc.dispatcher import RPCDispatcher

from e2etrust_core import wire
from e2etrust_core.jws import SM2_ALGORITHM
from e2etrust_core.signed_answer import KIND, SIGNED, Answer, digest_of_request, wanted_of
from e2etrust_verifier.trust.results import ClaimsSigner


class AnswerSigner:
    """:param sm2: signs for those who ask for SM2; where there is none, the *usual* one does."""

    def __init__(self, usual: ClaimsSigner, sm2: ClaimsSigner | None = None) -> None:
        self._usual = usual
        self._sm2 = sm2

    def signed(self, call: Any, reply: dict[str, Any]) -> dict[str, Any]:
        """Return *reply* as *call* (an incoming message of oslo.messaging) wants it."""
        wanted = wanted_of(call.ctxt)
        if wanted is None:
            return reply
        method, arguments = call.message.get("method"), call.message.get("args")
        request = arguments.get("request") if isinstance(arguments, dict) else None
        signer = self._usual
        if wanted.algorithm == SM2_ALGORITHM and self._sm2 is not None:
            signer = self._sm2
        answer = Answer(wanted.nonce, str(method), digest_of_request(request), reply)
        return {SIGNED: signer.sign_claims(wire.to_dict(answer), KIND)}


class SigningDispatcher:
    """Dispatches as *dispatcher* does, and signs what comes of it."""

    def __init__(self, dispatcher: RPCDispatcher, signer: AnswerSigner) -> None:
        self._dispatcher = dispatcher
        self._signer = signer

    def dispatch(self, call: Any) -> dict[str, Any]:
        return self._signer.signed(call, self._dispatcher.dispatch(call))
