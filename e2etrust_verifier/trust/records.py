# SPDX-License-Identifier: Apache-2.0
"""Launch records: signed with ES256 (RFC 7515, RFC 7518), the keys published (RFC 7517)."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from oslo_config import cfg

from e2etrust_core import wire
from e2etrust_core.errors import E2ETrustError
from e2etrust_core.messages import LaunchRecord

_TYPE = "e2etrust-launch+jwt"


class SigningKeyError(E2ETrustError):
    """The signing key cannot be used."""

    code = "SIGNING_KEY"
    remedy = "e2etrust-manage key create"


class RecordSigner:
    """Signs launch records with one P-256 key."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self._kid = key_id(key.public_key())

    def sign(self, record: LaunchRecord) -> str:
        headers = {"kid": self._kid, "typ": _TYPE}
        return jwt.encode(wire.to_dict(record), self._key, algorithm="ES256", headers=headers)


def load_signer(path: Path) -> RecordSigner:
    """Return the signer with the key in *path*.

    :raises SigningKeyError: it is missing, no P-256 key, or others than its owner can read it.
    """
    return RecordSigner(_private_key(path))


def create_key(path: Path) -> None:
    """Write a new P-256 key (PEM, PKCS #8, mode 0600).

    :raises SigningKeyError: there is a file already; it is left as it is.
    """
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as exc:
        raise SigningKeyError(
            f"{path} cannot be written: {exc.strerror}",
            remedy="move the old key away, and name its public key in retired_keys",
        ) from None
    with os.fdopen(handle, "wb") as file:
        file.write(pem)
        os.fchmod(file.fileno(), 0o600)


def published_keys(conf: cfg.ConfigOpts) -> dict[str, Any]:
    """Return the JWK set of the current key and the retired ones.

    :raises SigningKeyError: one of them cannot be read.
    """
    keys = [_private_key(Path(conf.verifier.signing_key)).public_key()]
    keys += [_public_key(Path(path)) for path in conf.verifier.retired_keys]
    return {"keys": [_jwk(key) for key in keys]}


def key_id(key: ec.EllipticCurvePublicKey) -> str:
    """Return the key's thumbprint (RFC 7638)."""
    required = {k: _members(key)[k] for k in ("crv", "kty", "x", "y")}
    text = json.dumps(required, sort_keys=True, separators=(",", ":"))
    return _base64url(hashlib.sha256(text.encode()).digest())


def _jwk(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    return {**_members(key), "kid": key_id(key), "use": "sig", "alg": "ES256"}


def _members(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    numbers = key.public_numbers()
    x, y = numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")
    return {"kty": "EC", "crv": "P-256", "x": _base64url(x), "y": _base64url(y)}


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _private_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        mode = path.stat().st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise SigningKeyError(
                f"others than its owner can use {path}", remedy=f"chmod 0600 {path}"
            )
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as exc:
        raise SigningKeyError(f"{path} cannot be read: {exc.strerror}") from None
    except (ValueError, TypeError):
        raise SigningKeyError(f"{path} is no PEM private key without a password") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise SigningKeyError(f"{path} is no P-256 key")
    return key


def _public_key(path: Path) -> ec.EllipticCurvePublicKey:
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError):
        raise SigningKeyError(
            f"{path} is no PEM public key", remedy="correct retired_keys"
        ) from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise SigningKeyError(f"{path} is no P-256 key", remedy="correct retired_keys")
    return key
