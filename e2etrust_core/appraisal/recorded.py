# SPDX-License-Identifier: Apache-2.0
"""An appraisal as it was made, so that it can be made again: for audit, or with another policy."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from e2etrust_core.appraisal.appraise import appraise_host
from e2etrust_core.appraisal.model import CheckResult, HostPolicy
from e2etrust_core.appraisal.policy import selection_of
from e2etrust_core.appraisal.reference import Appraisal, ClockSeen, HostReference, ImaSeen
from e2etrust_core.evidence.model import HostEvidence, PcrSelection
from e2etrust_core.launch import attest_binding
from e2etrust_core.suites import suite


@dataclass(frozen=True, slots=True)
class RecordedAppraisal:
    """Evidence that a host sent for ``nonce``, and all that was known when it was appraised.

    ``at`` is ISO 8601 with a zone, ``policy`` the name of the policy and ``fingerprint`` of what it
    was; ``checks`` came out of it.
    """

    host: str
    suite: str
    ek_public: bytes
    ak_public: bytes
    nonce: bytes
    selection: PcrSelection
    evidence: HostEvidence
    at: str
    policy: str
    fingerprint: str
    checks: list[CheckResult]
    last_clock: ClockSeen | None = None
    ima: ImaSeen | None = None
    known_launches: list[str] = field(default_factory=list)
    #: As in :class:`.reference.HostReference`; what releases before recorded has neither.
    ek_certificate: bytes | None = None
    ek_accepted_by: str = ""

    @property
    def trusted(self) -> bool:
        return bool(self.checks) and all(check.outcome == "pass" for check in self.checks)

    def holds_all_for(self, policy: HostPolicy) -> bool:
        """Whether *policy* can judge it: not by a part of an IMA list whose beginning another one
        accepted."""
        whole = self.evidence.ima_from == 0 or policy.fingerprint == self.fingerprint
        return policy.ima is None or whole


def appraise_again(recorded: RecordedAppraisal, policy: HostPolicy) -> Appraisal:
    """Appraise recorded evidence by *policy*, which may be another than it was.

    PCRs that the policy asks for and the quote does not cover fail the selection's row.  A part of
    an IMA list that another policy accepted the beginning of cannot be judged by this one: that
    fails the list's row.
    """
    known = recorded.ima
    if known is not None and policy.fingerprint == recorded.fingerprint:
        known = replace(known, policy=policy.fingerprint)
    reference = HostReference(
        recorded.host,
        recorded.ek_public,
        recorded.ak_public,
        suite(recorded.suite),
        recorded.last_clock,
        known,
        recorded.ek_certificate,
        recorded.ek_accepted_by,
    )
    qualifying = attest_binding(recorded.nonce, recorded.evidence.domains)
    return appraise_host(
        reference,
        policy,
        recorded.evidence,
        qualifying,
        selection_of(policy),
        frozenset(recorded.known_launches),
    )
