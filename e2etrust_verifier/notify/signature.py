# SPDX-License-Identifier: Apache-2.0
"""Signatures of webhooks: Standard Webhooks 1.0, scheme v1 (HMAC-SHA256).

What is signed is ``ID.TIMESTAMP.BODY``; the header holds one signature for each secret, so that
a secret can be changed while the receiver still knows the old one only.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import stat
from pathlib import Path

from e2etrust_core.errors import E2ETrustError

_PREFIX = "whsec_"
#: The specification asks for 192 to 512 bits.
_SHORTEST, _LONGEST = 24, 64
_MOST_SECRETS = 4
_MAX_FILE = 4096


class WebhookSecretError(E2ETrustError):
    """The webhooks' secret cannot be used."""

    code = "WEBHOOK_SECRET"
    remedy = "write whsec_ and 32 random bytes in base64 into [webhook] secret_file, mode 0600"


def headers(secrets: list[bytes], number: str, seconds: int, body: bytes) -> dict[str, str]:
    """Return the three headers of a message.

    :param number: its identifier, the same at every try.
    :param seconds: when this try is made, since the epoch.
    """
    signed = f"{number}.{seconds}.".encode() + body
    signatures = (hmac.new(secret, signed, hashlib.sha256).digest() for secret in secrets)
    return {
        "webhook-id": number,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(s).decode()}" for s in signatures),
    }


def read_secrets(path: Path) -> list[bytes]:
    """Return the secrets in *path*, one a line, ``whsec_`` and base64; the first is the newest.

    :raises WebhookSecretError: there is none, one is malformed, or others than the owner can use
        the file.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_MAX_FILE + 1)
    except OSError as exc:
        raise WebhookSecretError(f"{path} cannot be read: {exc.strerror}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise WebhookSecretError(
            f"others than its owner can use {path}", remedy=f"chmod 0600 {path}"
        )
    lines = text.split()
    if not 1 <= len(lines) <= _MOST_SECRETS or len(text) > _MAX_FILE:
        raise WebhookSecretError(f"{path} holds no secret, or more than {_MOST_SECRETS}")
    return [_secret(line, path) for line in lines]


def _secret(line: bytes, path: Path) -> bytes:
    try:
        secret = base64.b64decode(line.removeprefix(_PREFIX.encode()), validate=True)
    except binascii.Error:
        raise WebhookSecretError(f"a secret in {path} is no base64") from None
    if not line.startswith(_PREFIX.encode()) or not _SHORTEST <= len(secret) <= _LONGEST:
        raise WebhookSecretError(f"a secret in {path} is not whsec_ and {_SHORTEST} bytes or more")
    return secret
