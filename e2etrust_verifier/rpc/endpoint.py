# SPDX-License-Identifier: Apache-2.0
"""RPC methods: decode a typed message, call the decision, answer with its result or refusal."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from typing import Any, TypeVar

from oslo_messaging import Target

from e2etrust_core import messages, wire
from e2etrust_core.errors import E2ETrustError
from e2etrust_verifier.db import errors
from e2etrust_verifier.db.group_commit import RETRIED
from e2etrust_verifier.trust import attestation, enrolment, launches, leases, outcomes
from e2etrust_verifier.trust.errors import of_database
from e2etrust_verifier.trust.surroundings import Surroundings

LOG = logging.getLogger(__name__)

T = TypeVar("T")
Answer = dict[str, Any]


class InternalError(E2ETrustError):
    """Nobody foresaw this.  What went wrong stays in the log (CVE-2023-38201)."""

    code = "INTERNAL"
    remedy = "the operator looks for that number in the verifier's log"


class VerifierEndpoint:
    """Every method takes one argument, ``request``, and never raises.

    An unforeseen error grants nothing: a host's trust ends with its lease (CVE-2022-3500).
    """

    target = Target(version="1.0")

    def __init__(self, around: Surroundings) -> None:
        self._around = around

    def enrol_begin(self, _context: dict, request: Any) -> Answer:
        return self._answer(messages.EnrolRequest, enrolment.begin, request)

    def enrol_finish(self, _context: dict, request: Any) -> Answer:
        return self._answer(messages.EnrolAnswer, enrolment.finish, request)

    def challenge(self, _context: dict, request: Any) -> Answer:
        return self.challenge_each([request])[0]

    def attest(self, _context: dict, request: Any) -> Answer:
        return self.attest_each([request])[0]

    def launch(self, _context: dict, request: Any) -> Answer:
        return self._answer(messages.LaunchAsk, launches.launch, request)

    def launch_update(self, _context: dict, request: Any) -> Answer:
        return self._answer(messages.LaunchUpdate, launches.update, request)

    def report_refusal(self, _context: dict, request: Any) -> Answer:
        return self._answer(messages.RefusalReport, launches.report_refusal, request)

    def lease_delta(self, _context: dict, request: Any) -> Answer:
        return self._answer(messages.DeltaRequest, leases.delta, request)

    def challenge_each(self, requests: list[Any]) -> list[Answer]:
        """Do what :meth:`challenge` does for several requests."""
        return self._answers(messages.ChallengeRequest, attestation.challenge_each, requests)

    def attest_each(self, requests: list[Any]) -> list[Answer]:
        """Do what :meth:`attest` does for several requests."""
        return self._answers(messages.AttestRequest, attestation.attest_each, requests)

    def _answer(
        self, kind: type[T], decide: Callable[[Surroundings, T], Any], request: Any
    ) -> Answer:
        def decide_each(around: Surroundings, asked: list[T]) -> list[Any]:
            return outcomes.of_each(lambda one: decide(around, one), asked)

        return self._answers(kind, decide_each, [request])[0]

    def _answers(
        self, kind: type[T], decide: Callable[[Surroundings, list[T]], list[Any]], said: list[Any]
    ) -> list[Answer]:
        asked = outcomes.of_each(lambda request: wire.from_dict(kind, request), said)
        try:
            decided = outcomes.of_all(lambda some: decide(self._around, some), asked)
        except Exception as exc:
            decided = [exc] * len(said)
        return [_told(kind, one) for one in outcomes.of_each(messages.reply_ok, decided)]


def _told(kind: type, outcome: Answer | Exception) -> Answer:
    if not isinstance(outcome, Exception):
        return outcome
    if isinstance(outcome, E2ETrustError):
        LOG.info("%s refused: %s", kind.__name__, repr(str(outcome)))
        return messages.reply_error(outcome)
    if isinstance(outcome, RETRIED):
        refusal = of_database(outcome)
        LOG.error("%s refused: %s: %s", kind.__name__, refusal.code, errors.cause(outcome))
        return messages.reply_error(refusal)
    number = secrets.token_hex(6)
    LOG.error("%s failed in an unforeseen way (%s)", kind.__name__, number, exc_info=outcome)
    return messages.reply_error(
        InternalError(f"the verifier failed; its log tells more under {number}")
    )
