# SPDX-License-Identifier: Apache-2.0
"""Credentials that one TPM opens for one AK (TPM2_MakeCredential without a TPM).

TPM 2.0 Library Part 1, 24; Part 3, 12.6.  Only the TPM that holds both the EK and the very AK of
that name can answer, so the answer proves that they live together.
"""

from __future__ import annotations

from e2etrust_core.errors import InputError
from e2etrust_core.evidence.protected_seed import StorageKey
from e2etrust_core.evidence.tpm_bytes import sized


def make_credential(ek_public: bytes, ak_name: bytes, secret: bytes) -> tuple[bytes, bytes]:
    """Return (credential_blob, encrypted_secret): TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET.

    Both with their two-byte size in front.

    :param ek_public: TPMT_PUBLIC of the EK.
    :param ak_name: name of the AK, see :func:`.tpm_structures.name_of`.
    :param secret: at least 16 bytes, at most as long as the digest of the EK's nameAlg.
    :raises StructureError: *ek_public* is no public area.
    :raises EkRefused, SuiteError: it is of a kind that nothing is encrypted to.
    :raises InputError: a secret of the wrong size.
    """
    ek = StorageKey.decode(ek_public)
    if not 16 <= len(secret) <= ek.hash.size:
        raise InputError(f"a credential of {len(secret)} bytes: 16 to {ek.hash.size} fit")
    seed, encrypted_secret = ek.new_seed(b"IDENTITY")
    return sized(ek.protect(seed, ak_name, sized(secret))), sized(encrypted_secret)
