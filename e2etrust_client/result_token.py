# SPDX-License-Identifier: Apache-2.0
"""Attestation results (EAR, draft-ietf-rats-ear-04): their signature checked, then read."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from e2etrust_client.errors import ResultError
from e2etrust_core import jws, wire
from e2etrust_core.appraisal.result_token import PROFILE
from e2etrust_core.errors import InputError

_LONGEST = 1024 * 1024
_ALGORITHMS = (jws.ES256, jws.SM2_ALGORITHM)
#: The verifier's clock and the reader's agree to within so many seconds.
CLOCKS_AGREE = 60


@dataclass(frozen=True, slots=True)
class AttestationResult:
    """``status`` is affirming, contraindicated or none; ``vector`` claims of AR4SI; times are
    seconds since the epoch."""

    host: str
    status: str
    issuer: str
    issued_at: int
    expires_at: int
    vector: dict[str, int] = field(default_factory=dict)
    policies: list[str] = field(default_factory=list)


class _Appraisal(msgspec.Struct, frozen=True):
    ear_status: str
    ear_trustworthiness_vector: dict[str, int] = {}
    ear_appraisal_policy_ids: list[str] = []


class _Claims(msgspec.Struct, frozen=True):
    eat_profile: str
    iss: str
    iat: int
    exp: int
    ear_status: str
    submods: dict[str, _Appraisal]


def read_result(token: str, jwks: dict[str, Any], host: str, now: datetime) -> AttestationResult:
    """Return what *token* says of *host*, once its signature was checked with a key of *jwks*.

    :raises ResultError: no such key, wrong signature, another algorithm, another host's, too old,
        or of the future.
    """
    try:
        claims = wire.from_json(_Claims, jws.payload_of(token, jwks, _ALGORITHMS), _LONGEST)
    except InputError as exc:
        raise ResultError(f"the result cannot be relied on: {exc.reason}") from None
    if claims.eat_profile != PROFILE:
        raise ResultError("the result is of another profile than EAR 04")
    if claims.exp <= now.timestamp():
        raise ResultError("the result ran out", remedy="ask for a new one; compare the clocks")
    if claims.iat > now.timestamp() + CLOCKS_AGREE:
        # Of a verifier whose clock is ahead, and so is the end of what it says.
        raise ResultError(
            "the result is of the future", remedy="compare the verifier's clock with this one"
        )
    found = claims.submods.get(host)
    if found is None or len(claims.submods) != 1 or found.ear_status != claims.ear_status:
        raise ResultError("the result is not this host's")
    return AttestationResult(
        host,
        found.ear_status,
        claims.iss,
        claims.iat,
        claims.exp,
        found.ear_trustworthiness_vector,
        found.ear_appraisal_policy_ids,
    )
