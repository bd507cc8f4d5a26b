# SPDX-License-Identifier: Apache-2.0
"""Files of private keys, how a public key is named (RFC 7638), and what a signed text is."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from e2etrust_core import wire
from e2etrust_core.durable import sync_directory
from e2etrust_core.errors import E2ETrustError


class SigningKeyError(E2ETrustError):
    """The signing key cannot be used."""

    code = "SIGNING_KEY"
    remedy = "e2etrust-manage key create"


def write_key(path: Path, pem: bytes) -> None:
    """Write a private key that nobody but its owner can read (mode 0600).

    :raises SigningKeyError: there is a file already, which is left as it is, or no room for one.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as exc:
        raise SigningKeyError(
            f"{path} cannot be written: {exc.strerror}",
            remedy="move the old key away, and name its public key in retired_keys",
        ) from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(pem)
            os.fchmod(file.fileno(), 0o600)
            file.flush()
            os.fsync(file.fileno())
        sync_directory(path.parent)
    except OSError as exc:
        path.unlink(missing_ok=True)
        raise SigningKeyError(
            f"{path} cannot be written: {exc.strerror}", remedy="make room on that disk"
        ) from None


def read_key(path: Path) -> bytes:
    """Return what is in the file of a private key.

    :raises SigningKeyError: it is not there, or others than its owner can use it.
    """
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise SigningKeyError(
                f"others than its owner can use {path}", remedy=f"chmod 0600 {path}"
            )
        return path.read_bytes()
    except OSError as exc:
        raise SigningKeyError(f"{path} cannot be read: {exc.strerror}") from None


def thumbprint(members: dict[str, str]) -> str:
    """Return the name of an elliptic curve key by its JWK members (RFC 7638, 3.2)."""
    required = {name: members[name] for name in ("crv", "kty", "x", "y")}
    text = json.dumps(required, sort_keys=True, separators=(",", ":"))
    return base64url(hashlib.sha256(text.encode()).digest())


def ec_members(curve: str, x: int, y: int) -> dict[str, str]:
    """Return the members that tell a point of a curve of 256 bits (RFC 7518, 6.2.1)."""
    numbers = (number.to_bytes(32, "big") for number in (x, y))
    named = zip(("x", "y"), map(base64url, numbers), strict=True)
    return {"kty": "EC", "crv": curve, **dict(named)}


class Jws:
    """JWS in its compact form (RFC 7515, 7.1), put together here: every attestation waits for two.

    :param algorithm: name of JOSE's.
    :param kid: name of the key.
    :param sign: makes the signature as the algorithm has it.
    """

    def __init__(self, algorithm: str, kid: str, sign: Callable[[bytes], bytes]) -> None:
        self._algorithm, self._kid, self._sign = algorithm, kid, sign

    def of(self, claims: dict[str, Any], kind: str) -> str:
        """Return *claims* signed, *kind* being the ``typ``."""
        header = {"alg": self._algorithm, "kid": self._kid, "typ": kind}
        signed = f"{base64url(wire.to_json(header))}.{base64url(wire.to_json(claims))}"
        return f"{signed}.{base64url(self._sign(signed.encode()))}"


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
