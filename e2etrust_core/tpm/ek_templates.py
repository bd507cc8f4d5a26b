# SPDX-License-Identifier: Apache-2.0
"""The kinds of endorsement key that a TPM's maker may have certified.

What each is made from, and where its certificate is: TCG EK Credential Profile 2.5, 2.2.1.4 and
2.2.1.5.
"""

from __future__ import annotations

from dataclasses import dataclass

from tpm2_pytss import (
    ESAPI,
    TPM2_CAP,
    TPM2B_PUBLIC,
    TPMT_PUBLIC,
    TPMT_PUBLIC_PARMS,
    TSS2_Exception,
)

from e2etrust_core.evidence.public_areas import EkKind, ek_area
from e2etrust_core.tpm.device import is_refusal


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


EK_TEMPLATES: dict[EkKind, EkTemplate] = {
    "ecc-p256": EkTemplate(ek_area("ecc-p256", bytes(32), bytes(32)), 0x01C0000A, 0x81010002),
    "rsa2048": EkTemplate(ek_area("rsa2048", bytes(256)), 0x01C00002, 0x81010001),
    "sm2-sm3": EkTemplate(ek_area("sm2-sm3"), 0x01C0001A, by_value=True),
    "sm2": EkTemplate(ek_area("sm2", bytes(32), bytes(32)), 0x01C0001A),
    "ecc-p384": EkTemplate(ek_area("ecc-p384"), 0x01C00016, 0x81010016, by_value=True),
    "rsa3072": EkTemplate(ek_area("rsa3072"), 0x01C0001C, 0x8101001C, by_value=True),
}
