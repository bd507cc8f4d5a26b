# SPDX-License-Identifier: Apache-2.0
"""Public areas (TPMT_PUBLIC) as bytes, and those that endorsement keys have.

TCG EK Credential Profile 2.5: templates L-1 and L-2 (B.3.3, B.3.4) and, of the high range (B.4),
H-3, H-5 and H-6.  ``sm2`` is none of the profile's: L-2 on the SM2 curve, for TPMs that have SM2
but neither SM3 nor SM4.
"""

from __future__ import annotations

from typing import Literal

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from e2etrust_core.crypto.provider import Sm2PublicKey
from e2etrust_core.evidence.public_keys import PublicKey
from e2etrust_core.evidence.tpm_bytes import sized, uint
from e2etrust_core.evidence.tpm_structures import (
    ADMIN_WITH_POLICY,
    DECRYPT,
    FIXED_PARENT,
    FIXED_TPM,
    RESTRICTED,
    SENSITIVE_DATA_ORIGIN,
    TPM_ECC_NIST_P384,
    USER_WITH_AUTH,
)
from e2etrust_core.suites import (
    HASHES,
    TPM_ALG_AES,
    TPM_ALG_CFB,
    TPM_ALG_ECC,
    TPM_ALG_NULL,
    TPM_ALG_RSA,
    TPM_ALG_SM4,
    TPM_ECC_NIST_P256,
    TPM_ECC_SM2_P256,
    Hash,
)

#: In the order of choice, where a TPM has certificates of several, or of none.
EkKind = Literal["ecc-p256", "rsa2048", "sm2-sm3", "sm2", "ecc-p384", "rsa3072"]

_LOW_RANGE = (
    FIXED_TPM | FIXED_PARENT | SENSITIVE_DATA_ORIGIN | ADMIN_WITH_POLICY | RESTRICTED | DECRYPT
)
_HIGH_RANGE = _LOW_RANGE | USER_WITH_AUTH
#: PolicyA: PolicySecret(TPM_RH_ENDORSEMENT), SHA-256 (B.3.3).
_POLICY_A = bytes.fromhex("837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa")
#: PolicyB: PolicyA or PolicyC, which is PolicyAuthorizeNV of the owner's index for it (B.6).
_POLICY_B = {
    "sha384": bytes.fromhex(
        "b26e7d28d11a50bc53d882bcf5fd3a1a074148bb35d3b4e4cb1c0ad9bde419ca"
        "cb47ba09699646150f9fc000f3f80e12"
    ),
    "sm3_256": bytes.fromhex("167860a35f2c5c3567f9c927ac56c032f3b3a6462f8d037998e7a10f77fa454a"),
}
#: A null scheme, and a null symmetric algorithm (Part 2, 11.1.7): of keys that are no parents.
_NULL = NO_CIPHER = uint(TPM_ALG_NULL, 2)


def public_area(kind: int, name_hash: Hash, attributes: int, policy: bytes, rest: bytes) -> bytes:
    """Return a TPMT_PUBLIC; *rest* is what depends on the *kind* of key."""
    head = uint(kind, 2) + uint(name_hash.alg_id, 2) + uint(attributes, 4) + sized(policy)
    return head + rest


def cipher(algorithm: int, bits: int) -> bytes:
    """Return the TPMT_SYM_DEF_OBJECT of a block cipher in CFB, the one mode of storage keys."""
    return uint(algorithm, 2) + uint(bits, 2) + uint(TPM_ALG_CFB, 2)


def ecc(
    curve: int, symmetric: bytes, scheme: bytes = _NULL, *, x: bytes = b"", y: bytes = b""
) -> bytes:
    """Return what an ECC key's area ends with; of templates *x* and *y* are zeros or nothing."""
    return symmetric + scheme + uint(curve, 2) + _NULL + sized(x) + sized(y)


def rsa(bits: int, symmetric: bytes, scheme: bytes = _NULL, *, modulus: bytes = b"") -> bytes:
    """Return what an RSA key's area ends with (exponent 65537), as :func:`ecc`."""
    return symmetric + scheme + uint(bits, 2) + uint(0, 4) + sized(modulus)


def _low(kind: int, rest: bytes) -> bytes:
    return public_area(kind, HASHES["sha256"], _LOW_RANGE, _POLICY_A, rest)


def _high(kind: int, name_hash: str, rest: bytes) -> bytes:
    return public_area(kind, HASHES[name_hash], _HIGH_RANGE, _POLICY_B[name_hash], rest)


AES_128 = cipher(TPM_ALG_AES, 128)
_AES_256 = cipher(TPM_ALG_AES, 256)
_SM4 = cipher(TPM_ALG_SM4, 128)
#: What the key of a certificate may be: by its size and public exponent, or by its curve.
_RSA_KINDS: dict[tuple[int, int], tuple[EkKind, ...]] = {
    (2048, 65537): ("rsa2048",),
    (3072, 65537): ("rsa3072",),
}
_CURVE_KINDS: dict[str, tuple[EkKind, ...]] = {
    "secp256r1": ("ecc-p256",),
    "secp384r1": ("ecc-p384",),
}


def ek_area(kind: EkKind, *unique: bytes) -> bytes:
    """Return the TPMT_PUBLIC of an EK of that kind: *unique* is its modulus, or x and y.

    A template has zeros or nothing there.
    """
    modulus = unique[0] if unique else b""
    x, y = unique if len(unique) == 2 else (b"", b"")
    if kind == "rsa2048":
        return _low(TPM_ALG_RSA, rsa(2048, AES_128, modulus=modulus))
    if kind == "rsa3072":
        return _high(TPM_ALG_RSA, "sha384", rsa(3072, _AES_256, modulus=modulus))
    if kind == "ecc-p384":
        return _high(TPM_ALG_ECC, "sha384", ecc(TPM_ECC_NIST_P384, _AES_256, x=x, y=y))
    if kind == "sm2-sm3":
        return _high(TPM_ALG_ECC, "sm3_256", ecc(TPM_ECC_SM2_P256, _SM4, x=x, y=y))
    curve = TPM_ECC_SM2_P256 if kind == "sm2" else TPM_ECC_NIST_P256
    return _low(TPM_ALG_ECC, ecc(curve, AES_128, x=x, y=y))


def ek_areas_of(key: PublicKey) -> dict[EkKind, bytes]:
    """Return the TPMT_PUBLIC of the endorsement key that is *key*, for each kind that it may be.

    An SM2 key may be of two kinds, one that no template here makes is of none.  Nothing here
    tells whether a TPM has it.
    """
    kinds: tuple[EkKind, ...]
    if isinstance(key, RSAPublicKey):
        rsa_numbers = key.public_numbers()
        kinds = _RSA_KINDS.get((key.key_size, rsa_numbers.e), ())
        unique: tuple[bytes, ...] = (rsa_numbers.n.to_bytes(key.key_size // 8, "big"),)
    elif isinstance(key, Sm2PublicKey):
        kinds, unique = ("sm2-sm3", "sm2"), (key.x.to_bytes(32, "big"), key.y.to_bytes(32, "big"))
    else:
        kinds, size = _CURVE_KINDS.get(key.curve.name, ()), (key.key_size + 7) // 8
        point = key.public_numbers()
        unique = (point.x.to_bytes(size, "big"), point.y.to_bytes(size, "big"))
    return {kind: ek_area(kind, *unique) for kind in kinds}
