# SPDX-License-Identifier: Apache-2.0
"""Attestation results (EAR, draft-ietf-rats-ear-04): their signature checked, then read."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import jwt
import msgspec

from e2etrust_client.errors import ResultError
from e2etrust_core import crypto, wire
from e2etrust_core.appraisal.result_token import PROFILE, SM2_ALGORITHM, SM2_CURVE
from e2etrust_core.crypto.sm2_signing import message_digest
from e2etrust_core.errors import InputError

_LONGEST = 1024 * 1024
_REQUIRED = ["iss", "iat", "exp", "eat_profile"]
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
        algorithm = jwt.get_unverified_header(token).get("alg")
        read = _read_sm2 if algorithm == SM2_ALGORITHM else _read_es256
        claims = msgspec.convert(read(token, jwks), type=_Claims)
    except (jwt.PyJWTError, msgspec.ValidationError, InputError, ValueError) as exc:
        raise ResultError(f"the result cannot be relied on: {exc}") from None
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


def _read_es256(token: str, jwks: dict[str, Any]) -> dict[str, Any]:
    kid = jwt.get_unverified_header(token).get("kid")
    key = next((k for k in jwt.PyJWKSet.from_dict(jwks).keys if k.key_id == kid), None)
    if key is None:
        raise ValueError("it is signed with a key that is not in the key set")
    # Its times are looked at by the caller, who also decides for SM2.
    unasked = dict.fromkeys(("verify_aud", "verify_exp", "verify_iat"), False)
    options: Any = {**unasked, "require": _REQUIRED}
    return dict(jwt.decode(token, key=key.key, algorithms=["ES256"], options=options))


def _read_sm2(token: str, jwks: dict[str, Any]) -> dict[str, Any]:
    kid = jwt.get_unverified_header(token).get("kid")
    listed = [k for k in jwks.get("keys", []) if k.get("crv") == SM2_CURVE and k.get("kid") == kid]
    if not listed:
        raise ValueError("it is signed with a key that is not in the key set")
    signed, _, last = token.rpartition(".")
    key = crypto.Sm2PublicKey(*(int.from_bytes(_bytes(listed[0][name]), "big") for name in "xy"))
    signature = _bytes(last)
    numbers = (int.from_bytes(one, "big") for one in (signature[:32], signature[32:]))
    if len(signature) != 64 or not crypto.sm2_verify(
        key, message_digest(key, signed.encode()), *numbers
    ):
        raise ValueError("its signature does not hold")
    return wire.from_json(dict[str, Any], _bytes(signed.partition(".")[2]), _LONGEST)


def _bytes(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as exc:
        raise ValueError(f"it is not base64url: {exc}") from None
