# SPDX-License-Identifier: Apache-2.0
"""The AK vouches for another key and for NV contents (TPM 2.0 Library Part 3, 18.2 and 31.16)."""

from __future__ import annotations

from tpm2_pytss import ESYS_TR, TPM2_ALG, TPM2B_DATA, TPMT_SIG_SCHEME

from e2etrust_core.evidence.certified import Certified
from e2etrust_core.tpm.device import Tpm
from e2etrust_core.tpm.keys import AttestationKey, loaded_ak
from e2etrust_core.tpm.nv import nv_index, opened_nv


def certify_key(tpm: Tpm, ak: AttestationKey, key: AttestationKey, qualifying: bytes) -> Certified:
    """Have *ak* say that this TPM holds *key*.

    :raises KeyLost: one of them is not of this TPM.
    """
    with (
        tpm.connected() as esys,
        loaded_ak(tpm, esys, key) as subject,
        loaded_ak(tpm, esys, ak) as signer,
    ):
        attest, signature = esys.certify(
            subject, signer, TPM2B_DATA(qualifying), TPMT_SIG_SCHEME(scheme=TPM2_ALG.NULL)
        )
        return Certified(bytes(attest), signature.marshal())


def certify_nv(tpm: Tpm, ak: AttestationKey, number: int, qualifying: bytes) -> Certified:
    """Have *ak* say what is in that NV index, all of it.

    :raises KeyLost: *ak* is not of this TPM.
    :raises NvFailed: there is no such index.
    """
    size = nv_index(tpm, number).size
    with (
        tpm.connected() as esys,
        loaded_ak(tpm, esys, ak) as signer,
        opened_nv(esys, number) as index,
    ):
        attest, signature = esys.nv_certify(
            signer,
            index,
            TPM2B_DATA(qualifying),
            TPMT_SIG_SCHEME(scheme=TPM2_ALG.NULL),
            size,
            0,
            auth_handle=index,
            session1=ESYS_TR.PASSWORD,
        )
        return Certified(bytes(attest), signature.marshal())
