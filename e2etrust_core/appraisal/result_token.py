# SPDX-License-Identifier: Apache-2.0
"""An attestation result as others read it: EAR claims (draft-ietf-rats-ear-04) of one host.

The trustworthiness vector has the claims and tiers of draft-ietf-rats-ar4si-10 (2: affirming, 96:
contraindicated; 3 of ``executables``: also what was loaded after boot); what was not appraised is
left out.  The rows of the verdict stand in ``ear_verifier_claims``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from e2etrust_core import wire
from e2etrust_core.appraisal.appraise import EVENT_POLICY, IMA_POLICY, PCR_POLICY
from e2etrust_core.appraisal.model import CheckResult
from e2etrust_core.appraisal.quote_rows import GENUINE

PROFILE = "tag:ietf.org,2026:rats/ear#04"
#: RFC 9782.
MEDIA_TYPE = "application/eat+jwt"
DEVELOPER = "E2ETrust"

Status = Literal["none", "affirming", "contraindicated"]
_AFFIRMING, _LOADED_AFTER_BOOT_TOO, _CONTRAINDICATED = 2, 3, 96
_BOOT = (PCR_POLICY, EVENT_POLICY)


@dataclass(frozen=True, slots=True)
class ResultOfHost:
    """What is known of a host now.

    ``status`` is ``affirming`` only while the host holds a lease, ``none`` where there is no fresh
    evidence; ``issued_at`` and ``expires_at`` are seconds since the epoch; ``policies`` names of
    what it was appraised by; ``checks`` the rows of its last verdict, or why it stands otherwise;
    ``since`` (ISO 8601) when it came to stand so; ``genuine_tpm``: a maker vouches for its TPM.
    """

    host: str
    status: Status
    issued_at: int
    expires_at: int
    policies: Sequence[str]
    checks: Sequence[CheckResult]
    since: str | None
    genuine_tpm: bool


def result_claims(result: ResultOfHost, issuer: str, build: str) -> dict[str, Any]:
    """Return the claims of *result*.

    :param issuer: who signs (RFC 7519, 4.1.1).
    :param build: name and version of the verifier's software.
    """
    appraisal: dict[str, Any] = {"ear_status": result.status}
    if result.status != "none":
        appraisal["ear_trustworthiness_vector"] = _vector(result)
    if result.policies:
        appraisal["ear_appraisal_policy_ids"] = list(result.policies)
    appraisal["ear_verifier_claims"] = {
        "e2etrust_since": result.since,
        "e2etrust_checks": [wire.to_dict(check) for check in result.checks],
    }
    return {
        "eat_profile": PROFILE,
        "iss": issuer,
        "iat": result.issued_at,
        "exp": result.expires_at,
        "ear_verifier_id": {"developer": DEVELOPER, "build": build},
        "ear_status": result.status,
        "submods": {result.host: appraisal},
    }


def _vector(result: ResultOfHost) -> dict[str, int]:
    outcome = {check.check: check.outcome == "pass" for check in result.checks}
    vector: dict[str, int] = {}
    if identity := [outcome[name] for name in GENUINE if name in outcome]:
        vector["instance-identity"] = _tier(all(identity))
    if result.genuine_tpm:
        vector["hardware"] = _AFFIRMING
    if boot := [outcome[name] for name in _BOOT if name in outcome]:
        good = all(boot) and outcome.get(IMA_POLICY, True)
        after_boot = good and IMA_POLICY in outcome
        vector["executables"] = _LOADED_AFTER_BOOT_TOO if after_boot else _tier(good)
    if result.status == "contraindicated" and max(vector.values(), default=0) < _CONTRAINDICATED:
        # An operator's word, or a check that the vector has no claim for: no claim may say more.
        vector["configuration"] = _CONTRAINDICATED
    return vector


def _tier(good: bool) -> int:
    return _AFFIRMING if good else _CONTRAINDICATED
