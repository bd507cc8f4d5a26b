# SPDX-License-Identifier: Apache-2.0
"""Opening a credential: the proof that EK and AK live in this one TPM."""

from __future__ import annotations

from tpm2_pytss import TPM2B_ENCRYPTED_SECRET, TPM2B_ID_OBJECT, TSS2_Exception

from e2etrust_core.evidence.tpm_bytes import unsized
from e2etrust_core.tpm.device import Tpm, is_secret_refused
from e2etrust_core.tpm.errors import CredentialRefused
from e2etrust_core.tpm.keys import AttestationKey, endorsement_session, loaded_ak, loaded_ek


def activate_credential(
    tpm: Tpm, ak: AttestationKey, credential_blob: bytes, encrypted_secret: bytes
) -> bytes:
    """Return the secret (TPM2_ActivateCredential, Part 3, 12.5).

    :param credential_blob: TPM2B_ID_OBJECT, *encrypted_secret* TPM2B_ENCRYPTED_SECRET, both
        with their size in front, as
        :func:`e2etrust_core.evidence.credential.make_credential` makes them.
    :raises CredentialRefused: it was made for another EK or AK.
    :raises StructureError: the two are no such structures.
    :raises KeyLost: *ak* is not of this TPM.
    """
    blob = TPM2B_ID_OBJECT(unsized(credential_blob, "credential blob"))
    secret = TPM2B_ENCRYPTED_SECRET(unsized(encrypted_secret, "encrypted secret"))
    with (
        tpm.connected() as esys,
        loaded_ak(tpm, esys, ak) as handle,
        loaded_ek(tpm, esys, ak.ek_kind) as ek,
        endorsement_session(esys) as session,
    ):
        try:
            return bytes(esys.activate_credential(handle, ek, blob, secret, session2=session))
        except TSS2_Exception as exc:
            if is_secret_refused(esys, exc):
                raise CredentialRefused("the credential is for another TPM or key") from exc
            raise
