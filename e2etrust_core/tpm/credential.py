# SPDX-License-Identifier: Apache-2.0
"""Opening a credential: the proof that EK and AK live in this one TPM."""

from __future__ import annotations

from tpm2_pytss import ESAPI, ESYS_TR, TPM2B_ENCRYPTED_SECRET, TPM2B_ID_OBJECT, TSS2_Exception

from e2etrust_core.evidence.tpm_bytes import unsized
from e2etrust_core.tpm.device import Tpm, is_secret_refused
from e2etrust_core.tpm.errors import CredentialRefused
from e2etrust_core.tpm.keys import ek_session, loaded_ak, loaded_ek
from e2etrust_core.tpm.salt_key import KnownHost, salt_key, salt_name
from e2etrust_core.tpm.sessions import encrypted_session


def activate_credential(
    tpm: Tpm, host: KnownHost, credential_blob: bytes, encrypted_secret: bytes
) -> bytes:
    """Return the secret (TPM2_ActivateCredential, Part 3, 12.5), which crosses the bus encrypted.

    :param credential_blob: TPM2B_ID_OBJECT, *encrypted_secret* TPM2B_ENCRYPTED_SECRET, both
        with their size in front, as
        :func:`e2etrust_core.evidence.credential.make_credential` makes them.
    :raises CredentialRefused: it was made for another EK or AK.
    :raises StructureError: the two are no such structures.
    :raises KeyLost: *host*'s AK is not of this TPM.
    :raises SaltKeyForeign: the TPM shows another key than the one that *host* is known by.
    """
    blob = TPM2B_ID_OBJECT(unsized(credential_blob, "credential blob"))
    secret = TPM2B_ENCRYPTED_SECRET(unsized(encrypted_secret, "encrypted secret"))
    with tpm.connected() as esys:
        name = salt_name(tpm, esys, host)
        with (
            loaded_ak(tpm, esys, host.ak) as ak,
            loaded_ek(tpm, esys, host.ak.ek_kind) as ek,
            salt_key(tpm, esys, host, ek) as salt,
            encrypted_session(esys, salt, name) as hidden,
            ek_session(esys, host.ak.ek_kind) as session,
        ):
            return _activate(esys, (ak, ek), (blob, secret), (session, hidden))


def _activate(
    esys: ESAPI,
    keys: tuple[ESYS_TR, ESYS_TR],
    credential: tuple[TPM2B_ID_OBJECT, TPM2B_ENCRYPTED_SECRET],
    sessions: tuple[ESYS_TR, ESYS_TR],
) -> bytes:
    """*keys*: AK and EK; *sessions*: for the EK's policy, and to encrypt with."""
    try:
        found = esys.activate_credential(
            *keys, *credential, session2=sessions[0], session3=sessions[1]
        )
        return bytes(found)
    except TSS2_Exception as exc:
        if is_secret_refused(esys, exc):
            raise CredentialRefused("the credential is for another TPM or key") from exc
        raise
