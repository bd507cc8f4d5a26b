# SPDX-License-Identifier: Apache-2.0
"""The kinds of endorsement key that a TPM's maker may have certified.

TCG EK Credential Profile 2.5: templates L-1 and L-2 (B.3.3, B.3.4) and, of the high range (B.4),
H-3, H-5 and H-6; where a certificate of each is (2.2.1.4, 2.2.1.5).  ``sm2`` is none of the
profile's: L-2 on the SM2 curve, for TPMs that have SM2 but neither SM3 nor SM4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tpm2_pytss import (
    ESAPI,
    TPM2_ALG,
    TPM2_CAP,
    TPM2_ECC,
    TPM2B_PUBLIC,
    TPMT_PUBLIC,
    TPMT_PUBLIC_PARMS,
    TSS2_Exception,
)

from e2etrust_core.evidence.tpm_bytes import sized, uint
from e2etrust_core.evidence.tpm_structures import (
    ADMIN_WITH_POLICY,
    DECRYPT,
    FIXED_PARENT,
    FIXED_TPM,
    RESTRICTED,
    SENSITIVE_DATA_ORIGIN,
    USER_WITH_AUTH,
)
from e2etrust_core.suites import HASHES, Hash
from e2etrust_core.tpm.device import is_refusal

#: In the order of choice, where the TPM has certificates of several, or of none.
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
_NULL = NO_CIPHER = uint(TPM2_ALG.NULL, 2)


@dataclass(frozen=True, slots=True)
class EkTemplate:
    """``public`` TPMT_PUBLIC to make it from; ``certificate`` the NV index of its certificate.

    ``persistent`` is where provisioning tools leave the key (TCG TPM v2.0 Provisioning Guidance,
    7.8).  ``by_value``: its empty authorisation value lets it be used (userWithAuth), else only its
    policy does.
    """

    public: bytes
    certificate: int
    persistent: int | None = None
    by_value: bool = False

    @property
    def tss(self) -> TPM2B_PUBLIC:
        return tss_public(self.public)


def can_make(esys: ESAPI, kind: EkKind) -> bool:
    """Return whether the TPM has the algorithms of that kind."""
    area = EK_TEMPLATES[kind].tss.publicArea
    # The answer must be kept in a variable while its data is in use.
    _, answer = esys.get_capability(TPM2_CAP.ALGS, area.nameAlg, 1)
    algorithms = answer.data.algorithms
    if not (algorithms.count and int(algorithms[0].alg) == int(area.nameAlg)):
        return False
    try:
        esys.test_parms(TPMT_PUBLIC_PARMS(type=area.type, parameters=area.parameters))
    except TSS2_Exception as exc:
        if is_refusal(exc):
            return False
        raise
    return True


def tss_public(area: bytes) -> TPM2B_PUBLIC:
    """Return a TPMT_PUBLIC for the TSS."""
    public, _ = TPMT_PUBLIC.unmarshal(area)
    return TPM2B_PUBLIC(publicArea=public)


def template(kind: int, name_hash: Hash, attributes: int, policy: bytes, rest: bytes) -> bytes:
    """Return a TPMT_PUBLIC; *rest* is what depends on the *kind* of key."""
    head = uint(kind, 2) + uint(name_hash.alg_id, 2) + uint(attributes, 4) + sized(policy)
    return head + rest


def cipher(algorithm: int, bits: int) -> bytes:
    """Return the TPMT_SYM_DEF_OBJECT of a block cipher in CFB, the one mode of storage keys."""
    return uint(algorithm, 2) + uint(bits, 2) + uint(TPM2_ALG.CFB, 2)


def ecc(curve: int, symmetric: bytes, scheme: bytes = _NULL, unique: int = 0) -> bytes:
    """Return what an ECC key's template ends with; *unique* is the size of its zeros."""
    return symmetric + scheme + uint(curve, 2) + _NULL + sized(bytes(unique)) * 2


def rsa(bits: int, symmetric: bytes, scheme: bytes = _NULL, unique: int = 0) -> bytes:
    """Return what an RSA key's template ends with, as :func:`ecc`."""
    return symmetric + scheme + uint(bits, 2) + uint(0, 4) + sized(bytes(unique))


def _low(kind: int, rest: bytes) -> bytes:
    return template(kind, HASHES["sha256"], _LOW_RANGE, _POLICY_A, rest)


def _high(kind: int, name_hash: str, rest: bytes) -> bytes:
    return template(kind, HASHES[name_hash], _HIGH_RANGE, _POLICY_B[name_hash], rest)


AES_128 = cipher(TPM2_ALG.AES, 128)
_AES_256 = cipher(TPM2_ALG.AES, 256)
_SM4 = cipher(TPM2_ALG.SM4, 128)

EK_TEMPLATES: dict[EkKind, EkTemplate] = {
    "ecc-p256": EkTemplate(
        _low(TPM2_ALG.ECC, ecc(TPM2_ECC.NIST_P256, AES_128, unique=32)), 0x01C0000A, 0x81010002
    ),
    "rsa2048": EkTemplate(
        _low(TPM2_ALG.RSA, rsa(2048, AES_128, unique=256)), 0x01C00002, 0x81010001
    ),
    "sm2-sm3": EkTemplate(
        _high(TPM2_ALG.ECC, "sm3_256", ecc(TPM2_ECC.SM2_P256, _SM4)), 0x01C0001A, by_value=True
    ),
    "sm2": EkTemplate(_low(TPM2_ALG.ECC, ecc(TPM2_ECC.SM2_P256, AES_128, unique=32)), 0x01C0001A),
    "ecc-p384": EkTemplate(
        _high(TPM2_ALG.ECC, "sha384", ecc(TPM2_ECC.NIST_P384, _AES_256)),
        0x01C00016,
        0x81010016,
        by_value=True,
    ),
    "rsa3072": EkTemplate(
        _high(TPM2_ALG.RSA, "sha384", rsa(3072, _AES_256)), 0x01C0001C, 0x8101001C, by_value=True
    ),
}
