# SPDX-License-Identifier: Apache-2.0
"""Flow 2, attest: at start, before each lease runs out, and on demand."""

from __future__ import annotations

import logging
import random
import threading
import time
from dataclasses import dataclass

from tenacity import RetryCallState, Retrying, retry_if_exception_type

from e2etrust_agent.attester import Attester
from e2etrust_agent.backoff import Backoff
from e2etrust_agent.enrolment import enrol
from e2etrust_agent.standing import StandingBoard
from e2etrust_agent.verifier_bus import VerifierBus
from e2etrust_core import messages
from e2etrust_core.errors import E2ETrustError
from e2etrust_core.launch import attest_binding
from e2etrust_core.one_line import printable

LOG = logging.getLogger(__name__)

#: The verifier knows no such host: its record was removed, or its database is new.
HOST_UNKNOWN = "HOST_UNKNOWN"
#: A host attests this much earlier than asked, at random, so that many do not come at once.
JITTER = 0.2
#: No lease of any policy lasts longer: whoever says otherwise is not believed.
_LONGEST_SLEEP = 3600.0
#: A challenge that came with a lease is answered before so much of its time is over: the rest is
#: for the quote and its way.
ANSWERED_WITHIN = 5 / 6
#: It counts no more: of the host or its policy something changed since, or too much time went by.
_OUTDATED = frozenset({"NONCE_UNKNOWN", "EVIDENCE_STALE"})


@dataclass(frozen=True, slots=True)
class _Held:
    """A challenge that is not answered yet; drawn at ``since`` (monotonic) or later."""

    challenge: messages.Challenge
    since: float

    def seconds_left(self, of: float = 1.0) -> float:
        """Until that part of its time is over."""
        return self.since + self.challenge.expires_in * of - time.monotonic()


class AttestationLoop:
    """Keeps the host's lease alive in a thread of its own."""

    def __init__(
        self,
        attester: Attester,
        verifier: VerifierBus,
        board: StandingBoard,
        backoff: Backoff,
        start_jitter: float = 0.0,
    ) -> None:
        self._attester = attester
        self._verifier = verifier
        self._board = board
        self._backoff = backoff
        self._start_jitter = start_jitter
        self._held: _Held | None = None
        self._one_at_a_time = threading.Lock()
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="attestation", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> None:
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout)

    def wake(self) -> None:
        """Attest as soon as possible."""
        self._wake.set()

    def attest(self) -> messages.AttestResult:
        """Attest now, in the caller's thread; enrols first where that is still to be done.

        :raises E2ETrustError: no verdict: nobody answered, no evidence could be taken, or the
            verifier refused to appraise it.
        """
        with self._one_at_a_time:
            try:
                if not self._board.read().enrolled:
                    self._enrol()
                try:
                    result = self._attest()
                except messages.RemoteRefusal as exc:
                    if exc.code != HOST_UNKNOWN:
                        raise
                    LOG.warning("the verifier does not know this host; enrolling the same keys")
                    self._enrol()
                    result = self._attest()
            except E2ETrustError as exc:
                self._board.failed(exc)
                raise
            self._tell(result)
            return result

    def _enrol(self) -> None:
        new = enrol(self._attester, self._verifier)
        self._board.enrolled()
        LOG.info("host %s %s", self._attester.identity.host, "enrolled" if new else "is enrolled")

    def _attest(self) -> messages.AttestResult:
        # Taken: it is good for one answer, whatever becomes of that.
        held, self._held = self._held, None
        if held is not None and held.seconds_left(ANSWERED_WITHIN) > 0:
            answer = self._answer(held.challenge, given=True)
            try:
                if held.seconds_left() > 0:  # the TPM may have been busy with launches
                    return self._send(answer)
            except messages.RemoteRefusal as exc:
                if exc.retry_after is not None:
                    self._held = held  # nobody looked at the answer
                if exc.code not in _OUTDATED:
                    raise
                LOG.info("the challenge that came with the lease counts no more: %s", exc.code)
        asked = messages.ChallengeRequest(self._attester.identity.host, "attest")
        return self._send(self._answer(self._verifier.challenge(asked), given=False))

    def _answer(self, challenge: messages.Challenge, *, given: bool) -> messages.AttestRequest:
        evidence = self._attester.evidence(challenge, attest_binding)
        host, pins = self._attester.identity.host, self._verifier.pins_keys
        return messages.AttestRequest(host, challenge.nonce, evidence, pins, given)

    def _send(self, answer: messages.AttestRequest) -> messages.AttestResult:
        sent = time.monotonic()
        result = self._verifier.attest(answer)
        if result.challenge is not None:
            self._held = _Held(result.challenge, sent)
        return result

    def _tell(self, result: messages.AttestResult) -> None:
        if result.trusted and result.lease is not None:
            self._board.leased(result.lease)
            lease = result.lease
            LOG.info("attested: lease %s for %.0f s", printable(lease.id), lease.seconds)
            return
        refusal = refusal_of(result)
        self._board.refused(refusal)
        for check in (c for c in result.checks if c.outcome != "pass"):
            told = f"{check.check}: {check.code}: {check.reason}"
            LOG.error("not trusted: check %s", printable(told))
        if refusal.remedy:
            LOG.error("what to do: %s", refusal.remedy)

    def _run(self) -> None:
        retrying = Retrying(
            retry=retry_if_exception_type(E2ETrustError),
            wait=lambda state: self._backoff.seconds(state, self._board.read().seconds_left),
            stop=lambda _: self._stopping,
            sleep=self._sleep,
            before_sleep=_log_failure,
            retry_error_callback=lambda _: None,
        )
        if self._start_jitter:
            self._sleep(random.uniform(0, self._start_jitter))  # noqa: S311 - jitter
        while not self._stopping:
            try:
                result = retrying(self.attest)
            except Exception:
                # A fault of ours must not end attestation for good; the lease runs out meanwhile.
                LOG.exception("attestation failed in an unforeseen way")
                result = None
            again_in = result.again_in if result is not None else 5.0
            left = held.seconds_left(ANSWERED_WITHIN) if (held := self._held) is not None else 0.0
            if left > again_in / 2:  # less is left where the answer was slow: asking costs less
                again_in = min(again_in, left)
            self._sleep(again_in * random.uniform(1 - JITTER, 1))  # noqa: S311 - jitter

    def _sleep(self, seconds: float) -> None:
        if self._stopping:
            return
        self._wake.wait(min(max(0.1, seconds), _LONGEST_SLEEP))
        if not self._stopping:
            self._wake.clear()


def refusal_of(result: messages.AttestResult) -> messages.Refusal:
    """Return the first failed check of an untrusted verdict as a refusal."""
    for check in result.checks:
        if check.outcome != "pass":
            code, reason = printable(check.code or "NOT_TRUSTED"), printable(check.reason)
            return messages.Refusal(code, reason, printable(check.remedy))
    remedy = "openstack attestation host show HOST says why"
    return messages.Refusal("NOT_TRUSTED", "the verifier granted no lease", remedy)


def _log_failure(state: RetryCallState) -> None:
    problem = state.outcome.exception() if state.outcome is not None else None
    seconds = state.next_action.sleep if state.next_action is not None else 0.0
    if isinstance(problem, E2ETrustError):
        LOG.error("no lease: %s (again in %.1f s) %s", problem, seconds, problem.remedy)
