# SPDX-License-Identifier: Apache-2.0
"""Algorithm suites: named once here, everything else takes a :class:`Suite`.

Identifiers are those of the TCG Algorithm Registry, section 6 (TPM_ALG_ID, TPM_ECC_CURVE).
"""

from __future__ import annotations

from dataclasses import dataclass

from e2etrust_core.errors import SuiteError

TPM_ALG_RSA = 0x0001
TPM_ALG_SHA1 = 0x0004
TPM_ALG_AES = 0x0006
TPM_ALG_KEYEDHASH = 0x0008
TPM_ALG_SHA256 = 0x000B
TPM_ALG_SHA384 = 0x000C
TPM_ALG_SHA512 = 0x000D
TPM_ALG_NULL = 0x0010
TPM_ALG_SM3_256 = 0x0012
TPM_ALG_SM4 = 0x0013
TPM_ALG_RSASSA = 0x0014
TPM_ALG_ECDSA = 0x0018
TPM_ALG_SM2 = 0x001B
TPM_ALG_ECC = 0x0023
TPM_ALG_CFB = 0x0043
TPM_ECC_NIST_P256 = 0x0003
TPM_ECC_SM2_P256 = 0x0020


@dataclass(frozen=True, slots=True)
class Hash:
    """A hash by its TPM number, its name here, in hashlib, and its digest size in bytes."""

    name: str
    alg_id: int
    hashlib_name: str
    size: int


HASHES = {
    h.name: h
    for h in (
        Hash("sha1", TPM_ALG_SHA1, "sha1", 20),
        Hash("sha256", TPM_ALG_SHA256, "sha256", 32),
        Hash("sha384", TPM_ALG_SHA384, "sha384", 48),
        Hash("sha512", TPM_ALG_SHA512, "sha512", 64),
        Hash("sm3_256", TPM_ALG_SM3_256, "sm3", 32),
    )
}
HASH_BY_ID = {h.alg_id: h for h in HASHES.values()}


@dataclass(frozen=True, slots=True)
class Suite:
    """What an AK is and how it signs."""

    name: str
    key: int
    curve: int | None
    scheme: int
    hash: Hash


RSA2048_SHA256 = Suite("rsa2048-sha256", TPM_ALG_RSA, None, TPM_ALG_RSASSA, HASHES["sha256"])
ECC_P256_SHA256 = Suite(
    "ecc-p256-sha256", TPM_ALG_ECC, TPM_ECC_NIST_P256, TPM_ALG_ECDSA, HASHES["sha256"]
)
SM2_SM3 = Suite("sm2-sm3", TPM_ALG_ECC, TPM_ECC_SM2_P256, TPM_ALG_SM2, HASHES["sm3_256"])
#: For TPMs that have SM2 and no SM3.
SM2_SHA256 = Suite("sm2-sha256", TPM_ALG_ECC, TPM_ECC_SM2_P256, TPM_ALG_SM2, HASHES["sha256"])

SUITES = {s.name: s for s in (RSA2048_SHA256, ECC_P256_SHA256, SM2_SM3, SM2_SHA256)}


def suite(name: str) -> Suite:
    """Return the suite of that name.

    :raises SuiteError: the name is unknown.
    """
    found = SUITES.get(name)
    if found is None:
        known = ", ".join(SUITES)
        raise SuiteError(f"no algorithm suite is called {name!r}", remedy=f"use one of: {known}")
    return found
