# SPDX-License-Identifier: Apache-2.0
"""What a TPM's maker left in NV to vouch for its endorsement keys.

TCG EK Credential Profile 2.5, 2.2.1: a certificate for each kind of key, and, from 0x01C00100 on,
those of the authorities between them and the maker's (:mod:`e2etrust_core.evidence.ek_chain`).
"""

from __future__ import annotations

from tpm2_pytss import ESAPI

from e2etrust_core.evidence.ek_chain import MAX_EK_CHAIN
from e2etrust_core.tpm.device import Tpm
from e2etrust_core.tpm.errors import NvFailed
from e2etrust_core.tpm.nv import handles_in, has_handle, nv_contents

_CHAIN = range(0x01C00100, 0x01C00200)
_MAX_CERTIFICATE = 8192


def ek_certificate(esys: ESAPI, number: int) -> bytes | None:
    """Return what is in the NV index of that number; None where the TPM has none.

    :raises NvFailed: it cannot be read, or is longer than any certificate.
    """
    return nv_contents(esys, number, _MAX_CERTIFICATE) if has_handle(esys, number) else None


def read_ek_chain(tpm: Tpm) -> bytes:
    """Return the contents of the indices for the EK's chain, in their order; empty: there are none.

    It ends before an index that cannot be read, or with which it would be longer than
    ``MAX_EK_CHAIN``: a verifier then tells what is missing, if anything is.

    :raises TpmUnreachable, TpmError: the TPM is away or refused.
    """
    chain = b""
    with tpm.connected() as esys:
        for number in handles_in(esys, _CHAIN):
            try:
                chain += nv_contents(esys, number, MAX_EK_CHAIN - len(chain))
            except NvFailed:
                break
    return chain
