# SPDX-License-Identifier: Apache-2.0
"""Seal an image under a key in the key manager; a key made in vain is deleted again."""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass
from typing import Protocol

from e2etrust_client.errors import ClientError
from e2etrust_client.image_keys import ImageKeys
from e2etrust_client.model import ServiceInfo
from e2etrust_core.errors import E2ETrustError
from e2etrust_core.sealed import sealing
from e2etrust_core.sealed.source import Progress


class AttestationInfo(Protocol):
    """The one question we have for the attestation service."""

    def info(self) -> ServiceInfo: ...


@dataclass(frozen=True)
class KeyChoice:
    """Which key: a new one of that name, or an existing one (`key_id`).

    `reader` is the user who may read it besides its project; empty for the verifier's user.
    """

    name: str
    key_id: str = ""
    reader: str = ""


def seal_with_key(
    request: sealing.SealRequest,
    choice: KeyChoice,
    keys: ImageKeys,
    attestation: AttestationInfo,
    progress: Progress,
) -> tuple[sealing.Sealed, str]:
    """Check, get or make the key, let the verifier read it, seal.

    :returns: what came out, and the key's UUID.
    :raises E2ETrustError: something failed; nothing is left of it.
    """
    sealing.check(request)
    reader = choice.reader or _verifier_user(attestation)
    made = not choice.key_id
    key = sealing.new_key() if made else keys.fetch(choice.key_id)
    key_id = keys.store(choice.name, key) if made else choice.key_id
    try:
        keys.grant(key_id, reader)
        sealed = sealing.seal(dataclasses.replace(request, key_id=key_id), key, progress)
    except BaseException:
        if made:
            # What failed first is what the user needs to hear of.
            with contextlib.suppress(E2ETrustError):
                keys.delete(key_id)
        raise
    return sealed, key_id


def _verifier_user(attestation: AttestationInfo) -> str:
    remedy = "Give --grant-user with the verifier's user id; ask the operator for it."
    try:
        user = attestation.info().key_user_id
    except ClientError as error:
        raise ClientError(
            f"nobody told who may read the key: {error.reason}",
            code="KEY_READER_UNKNOWN",
            remedy=remedy,
        ) from error
    if not user:
        raise ClientError(
            "the attestation service does not tell who may read the key",
            code="KEY_READER_UNKNOWN",
            remedy=remedy,
        )
    return user
