# SPDX-License-Identifier: Apache-2.0
"""What the verifier signs with ES256 (RFC 7515, RFC 7518), and the keys published (RFC 7517)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from oslo_config import cfg

from e2etrust_core import wire
from e2etrust_core.jws import ES256
from e2etrust_core.messages import LaunchRecord
from e2etrust_verifier.trust import sm2_records
from e2etrust_verifier.trust.signing_keys import (
    Jws,
    SigningKeyError,
    ec_members,
    read_key,
    thumbprint,
    write_key,
)

_TYPE = "e2etrust-launch+jwt"
_ECDSA = ec.ECDSA(hashes.SHA256())


class RecordSigner:
    """Signs launch records, and attestation results, with one P-256 key."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self.jwk = _jwk(key.public_key())
        self._jws = Jws(ES256, self.jwk["kid"], self._sign)

    def sign(self, record: LaunchRecord) -> str:
        return self.sign_claims(wire.to_dict(record), _TYPE)

    def sign_claims(self, claims: dict[str, Any], kind: str) -> str:
        """Return *claims* as JWS (compact form), *kind* being its ``typ``."""
        return self._jws.of(claims, kind)

    def _sign(self, message: bytes) -> bytes:
        """Return r and s, 32 bytes each (RFC 7518, 3.4)."""
        numbers = decode_dss_signature(self._key.sign(message, _ECDSA))
        return b"".join(number.to_bytes(32, "big") for number in numbers)


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
    write_key(path, pem)


def published_keys(conf: cfg.ConfigOpts, *, retired: bool = True) -> dict[str, Any]:
    """Return the JWK set of the current keys.

    :param retired: with the retired ones.
    :raises SigningKeyError: one of them cannot be read.
    """
    keys = [_private_key(Path(conf.verifier.signing_key)).public_key()]
    keys += [_public_key(Path(path)) for path in conf.verifier.retired_keys if retired]
    published = [_jwk(key) for key in keys]
    if conf.verifier.sm2_signing_key:
        published.append(sm2_records.load_signer(Path(conf.verifier.sm2_signing_key)).jwk)
    return {"keys": published}


def key_id(key: ec.EllipticCurvePublicKey) -> str:
    """Return the key's thumbprint (RFC 7638)."""
    return thumbprint(_members(key))


def _jwk(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    return {**_members(key), "kid": key_id(key), "use": "sig", "alg": ES256}


def _members(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    numbers = key.public_numbers()
    return ec_members("P-256", numbers.x, numbers.y)


def _private_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(read_key(path), password=None)
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
