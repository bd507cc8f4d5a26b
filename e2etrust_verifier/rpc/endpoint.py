# SPDX-License-Identifier: Apache-2.0
"""RPC methods: decode a typed message, call the decision, answer with its result or refusal."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from typing import Any, TypeVar

from oslo_db import exception as db_exc
from oslo_messaging import Target

from e2etrust_core import messages, wire
from e2etrust_core.errors import E2ETrustError
from e2etrust_verifier.trust import attestation, enrolment, launches, leases
from e2etrust_verifier.trust.errors import DatabaseDown
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
        return self._answer(messages.ChallengeRequest, attestation.challenge, request)

    def attest(self, _context: dict, request: Any) -> Answer:
        return self._answer(messages.AttestRequest, attestation.attest, request)

    def launch(self, _context: dict, request: Any) -> Answer:
        return self._answer(messages.LaunchAsk, launches.launch, request)

    def launch_update(self, _context: dict, request: Any) -> Answer:
        return self._answer(messages.LaunchUpdate, launches.update, request)

    def report_refusal(self, _context: dict, request: Any) -> Answer:
        return self._answer(messages.RefusalReport, launches.report_refusal, request)

    def lease_delta(self, _context: dict, request: Any) -> Answer:
        return self._answer(messages.DeltaRequest, leases.delta, request)

    def _answer(
        self, kind: type[T], decide: Callable[[Surroundings, T], Any], request: Any
    ) -> Answer:
        try:
            return messages.reply_ok(decide(self._around, wire.from_dict(kind, request)))
        except E2ETrustError as exc:
            LOG.info("%s refused: %s", kind.__name__, repr(str(exc)))
            return messages.reply_error(exc)
        except db_exc.DBConnectionError as exc:
            # Without the statement: its values may be secrets.
            told = getattr(exc.inner_exception, "orig", exc.inner_exception)
            LOG.error("%s failed: the database is away: %s", kind.__name__, told)
            return messages.reply_error(DatabaseDown("the verifier's database does not answer"))
        except Exception:
            number = secrets.token_hex(6)
            LOG.exception("%s failed in an unforeseen way (%s)", kind.__name__, number)
            return messages.reply_error(
                InternalError(f"the verifier failed; its log tells more under {number}")
            )
