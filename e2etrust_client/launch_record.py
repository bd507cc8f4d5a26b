# SPDX-License-Identifier: Apache-2.0
"""Launch records: signed by the verifier (JWS, RFC 7515, ES256), read by the tenant."""

from __future__ import annotations

from typing import Any

import jwt

from e2etrust_client.errors import RecordError
from e2etrust_client.result_token import CLOCKS_AGREE
from e2etrust_core import wire
from e2etrust_core.errors import InputError
from e2etrust_core.messages import LaunchRecord

_ALGORITHMS = ["ES256"]


def read_record(record: str, jwks: dict[str, Any]) -> LaunchRecord:
    """Return the claims of *record* once its signature was checked with a key of *jwks*.

    :raises RecordError: no such key, wrong signature, another algorithm, or other claims.
    """
    try:
        header = jwt.get_unverified_header(record)
        keys = jwt.PyJWKSet.from_dict(jwks)
        key = next((k for k in keys.keys if k.key_id == header.get("kid")), None)
        if key is None:
            raise RecordError("the launch record is signed with a key that is not in the key set")
        claims = jwt.decode(
            record,
            key=key.key,
            algorithms=_ALGORITHMS,
            leeway=CLOCKS_AGREE,
            options={"verify_aud": False, "require": ["iss", "iat", "jti"]},
        )
        return wire.from_dict(LaunchRecord, claims)
    except jwt.PyJWTError as exc:
        raise RecordError(f"the launch record's signature does not hold: {exc}") from None
    except InputError as exc:
        raise RecordError(f"the launch record cannot be read: {exc.reason}") from None
