# SPDX-License-Identifier: Apache-2.0
"""What the verifier signs with SM2 over SM3, for hosts of Chinese suites.

See :mod:`e2etrust_core.jws`.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

from e2etrust_core.crypto.sm2_signing import Sm2PrivateKey, generate_key
from e2etrust_core.errors import InputError
from e2etrust_core.jws import SM2_ALGORITHM, SM2_CURVE
from e2etrust_verifier.trust.signing_keys import (
    Jws,
    SigningKeyError,
    ec_members,
    read_key,
    thumbprint,
    write_key,
)

_PEM = re.compile(rb"-----BEGIN PRIVATE KEY-----\s+([A-Za-z0-9+/=\s]+)-----END PRIVATE KEY-----\s*")


class Sm2Signer:
    """Signs claims with one SM2 key."""

    def __init__(self, key: Sm2PrivateKey) -> None:
        members = ec_members(SM2_CURVE, key.public.x, key.public.y)
        kid = thumbprint(members)
        self.jwk = {**members, "kid": kid, "use": "sig", "alg": SM2_ALGORITHM}
        self._jws = Jws(SM2_ALGORITHM, kid, key.sign)

    def sign_claims(self, claims: dict[str, Any], kind: str) -> str:
        """Return *claims* as JWS (compact form), *kind* being its ``typ``."""
        return self._jws.of(claims, kind)


def create_key(path: Path) -> None:
    """Write a new SM2 key (PEM, PKCS #8, mode 0600).

    :raises SigningKeyError: there is a file already; it is left as it is.
    :raises SuiteError: this machine's OpenSSL has no SM2.
    """
    text = base64.encodebytes(generate_key().pkcs8)
    pem = b"-----BEGIN PRIVATE KEY-----\n%s-----END PRIVATE KEY-----\n" % text
    write_key(path, pem)


def load_signer(path: Path) -> Sm2Signer:
    """Return the signer with the key in *path*.

    :raises SigningKeyError: it is missing, no SM2 key, or others than its owner can read it.
    """
    found = _PEM.fullmatch(read_key(path))
    try:
        return Sm2Signer(Sm2PrivateKey(base64.b64decode(found[1] if found else b"")))
    except (InputError, ValueError):
        raise SigningKeyError(
            f"{path} is no PEM private key of the SM2 curve",
            remedy="e2etrust-manage key create --sm2",
        ) from None
