# SPDX-License-Identifier: Apache-2.0
"""Launch records: signed by the verifier (JWS, RFC 7515, ES256), read by the tenant."""

from __future__ import annotations

import time
from typing import Any

from e2etrust_client.errors import RecordError
from e2etrust_client.result_token import CLOCKS_AGREE
from e2etrust_core import jws, wire
from e2etrust_core.errors import InputError
from e2etrust_core.messages import LaunchRecord


def read_record(record: str, jwks: dict[str, Any]) -> LaunchRecord:
    """Return the claims of *record* once its signature was checked with a key of *jwks*.

    :raises RecordError: no such key, wrong signature, another algorithm, or other claims.
    """
    try:
        claims = jws.payload_of(record, jwks, [jws.ES256])
    except InputError as exc:
        raise RecordError(f"the launch record cannot be relied on: {exc.reason}") from None
    try:
        found = wire.from_json(LaunchRecord, claims)
    except InputError as exc:
        raise RecordError(f"the launch record cannot be read: {exc.reason}") from None
    if found.iat > time.time() + CLOCKS_AGREE:
        raise RecordError("the launch record is of the future (iat): compare the clocks")
    return found
