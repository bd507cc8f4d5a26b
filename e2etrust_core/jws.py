# SPDX-License-Identifier: Apache-2.0
"""What the verifier signed (JWS, RFC 7515), checked with the keys of a JWK set (RFC 7517).

ES256, and ``SM2-SM3`` for Chinese suites.  JOSE has no registered name for that; it is ours: r and
s, 32 bytes each, over SM3(Z_A || signing input) with the default identity (GB/T 32918.2,
GM/T 0009).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection
from typing import Any

import jwt

from e2etrust_core import crypto
from e2etrust_core.crypto.sm2_signing import message_digest
from e2etrust_core.errors import InputError

ES256 = "ES256"
SM2_ALGORITHM = "SM2-SM3"
SM2_CURVE = "SM2"


class JwsError(InputError):
    """It is not signed by a key of the set, or not by an algorithm that is taken."""


def payload_of(
    token: str, jwks: dict[str, Any], algorithms: Collection[str], kind: str | None = None
) -> bytes:
    """Return what *token* (compact form) carries, once its signature was checked.

    :param algorithms: those that are taken, of :data:`ES256` and :data:`SM2_ALGORITHM`.
    :param kind: the ``typ`` that it must have; None: any.
    :raises JwsError: no such key, wrong signature, another algorithm or kind, or no JWS.
    :raises OpinionsDiffer: two crypto providers are asked of SM2 and do not agree.
    """
    try:
        header = jwt.get_unverified_header(token)
        if header.get("alg") not in algorithms:
            raise JwsError("it is signed by another algorithm than is taken")
        if kind is not None and header.get("typ") != kind:
            raise JwsError("it is signed as something else")
        check = _sm2_payload if header["alg"] == SM2_ALGORITHM else _es256_payload
        return check(token, _named(jwks, header))
    except (jwt.PyJWTError, binascii.Error, ValueError, KeyError, TypeError) as exc:
        raise JwsError(f"its signature does not hold: {exc}") from None


def _named(jwks: dict[str, Any], header: dict[str, Any]) -> dict[str, Any]:
    """Return the key that *header* names; PyJWT has seen to it that ``kid`` is text."""
    listed = jwks.get("keys")
    for key in listed if isinstance(listed, list) else ():
        named = isinstance(key, dict) and key.get("kid") == header.get("kid")
        if named and (key.get("crv") == SM2_CURVE) == (header["alg"] == SM2_ALGORITHM):
            return dict(key)
    raise JwsError("it is signed with a key that is not in the key set")


def _es256_payload(token: str, key: dict[str, Any]) -> bytes:
    found = jwt.PyJWS().decode(token, jwt.PyJWK(key).key, algorithms=[ES256])
    return bytes(found)


def _sm2_payload(token: str, key: dict[str, Any]) -> bytes:
    signed, _, last = token.rpartition(".")
    public = crypto.Sm2PublicKey(*(int.from_bytes(_bytes(key[name]), "big") for name in "xy"))
    signature = _bytes(last)
    numbers = (int.from_bytes(one, "big") for one in (signature[:32], signature[32:]))
    digest = message_digest(public, signed.encode())
    if len(signature) != 64 or not crypto.sm2_verify(public, digest, *numbers):
        raise JwsError("its signature does not hold")
    return _bytes(signed.partition(".")[2])


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
