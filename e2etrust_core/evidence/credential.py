# SPDX-License-Identifier: Apache-2.0
"""Signatures first; the implementation follows."""

from __future__ import annotations


def make_credential(ek_public: bytes, ak_name: bytes, secret: bytes) -> tuple[bytes, bytes]:
    """Return (credential_blob, encrypted_secret): TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET.

    Both with their two-byte size in front.

    :param ek_public: TPMT_PUBLIC of the EK.
    :param ak_name: name of the AK, see :func:`.tpm_structures.name_of`.
    :param secret: at most as long as the digest of the EK's nameAlg.
    """
    raise NotImplementedError
