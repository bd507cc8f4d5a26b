# SPDX-License-Identifier: Apache-2.0
"""Evidence is recorded with all it was appraised by: for audit, and to try policies on."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from e2etrust_core.appraisal.recorded import RecordedAppraisal
from e2etrust_core.appraisal.reference import Appraisal
from e2etrust_core.messages import AttestRequest
from e2etrust_verifier.db import evidence
from e2etrust_verifier.trust import appraisal
from e2etrust_verifier.trust.appraisal import Case


def record(
    session: Session, case: Case, found: Appraisal, request: AttestRequest, now: datetime
) -> None:
    """Record an attestation."""
    checks = found.verdict.checks
    reference = appraisal.reference_of(case)
    evidence.add(
        session,
        RecordedAppraisal(
            host=case.host.name,
            suite=case.host.suite,
            ek_public=case.host.ek_public,
            ak_public=case.host.ak_public,
            nonce=request.nonce,
            selection=case.selection,
            evidence=request.evidence,
            at=now.isoformat(),
            policy=case.policy.name,
            fingerprint=case.policy.fingerprint,
            checks=checks,
            last_clock=reference.last_clock,
            ima=reference.ima,
            known_launches=sorted(found.known_launches),
            ek_certificate=case.host.ek_certificate,
            ek_accepted_by=case.host.ek_accepted_by,
        ),
        now,
    )
