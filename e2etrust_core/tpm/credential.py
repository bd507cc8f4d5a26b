# SPDX-License-Identifier: Apache-2.0
"""Signatures first; the implementation follows."""

from __future__ import annotations

from e2etrust_core.tpm.device import Tpm
from e2etrust_core.tpm.keys import AttestationKey


def activate_credential(
    tpm: Tpm, ak: AttestationKey, credential_blob: bytes, encrypted_secret: bytes
) -> bytes:
    """Return the secret.

    :raises CredentialRefused: it was made for another EK or AK.
    """
    raise NotImplementedError
