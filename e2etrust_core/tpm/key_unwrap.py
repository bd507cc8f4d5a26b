# SPDX-License-Identifier: Apache-2.0
"""Opening a key that was wrapped to this TPM and its PCR state.

TPM2_Import under the EK, TPM2_Load, PolicyPCR, TPM2_Unseal (Part 3, 13.3, 12.2, 23.7, 12.7); the
last runs in a session, salted to a key that this host is known by, that encrypts the answer: the
key does not cross the TPM's bus in the clear, and an interposer's key is none.
"""

from __future__ import annotations

from tpm2_pytss import (
    ESAPI,
    ESYS_TR,
    TPM2_ALG,
    TPM2B_DATA,
    TPM2B_ENCRYPTED_SECRET,
    TPM2B_PRIVATE,
    TPM2B_PUBLIC,
    TPMA_SESSION,
    TPMT_PUBLIC,
    TPMT_SYM_DEF_OBJECT,
    TSS2_Exception,
)

from e2etrust_core.evidence.tpm_bytes import unsized
from e2etrust_core.evidence.tpm_structures import KeyedHash, decode_public
from e2etrust_core.messages import WrappedKey
from e2etrust_core.tpm.device import Tpm, flushed, is_secret_refused
from e2etrust_core.tpm.ek_templates import EkKind
from e2etrust_core.tpm.errors import UnwrapRefused
from e2etrust_core.tpm.keys import ek_session, loaded_ek
from e2etrust_core.tpm.pcr import tss_selection
from e2etrust_core.tpm.salt_key import KnownHost, salt_key, salt_name
from e2etrust_core.tpm.sessions import policy_session

_RC_PCR_CHANGED = 0x128


def unwrap_key(tpm: Tpm, host: KnownHost, wrapped: WrappedKey) -> bytes:
    """Open a key made by :func:`e2etrust_core.evidence.key_wrap.wrap_for_host`.

    :raises UnwrapRefused: made for another TPM, altered, or the PCRs differ.
    :raises SaltKeyForeign: the TPM shows another key than the one that *host* is known by.
    :raises StructureError: the parts are no such structures.
    """
    area = unsized(wrapped.public, "wrapped key")
    if not isinstance(decode_public(area).key, KeyedHash):
        raise UnwrapRefused("what was sent is no sealed key")
    public = TPM2B_PUBLIC(publicArea=TPMT_PUBLIC.unmarshal(area)[0])
    duplicate = TPM2B_PRIVATE(unsized(wrapped.duplicate, "wrapped key"))
    seed = TPM2B_ENCRYPTED_SECRET(unsized(wrapped.encrypted_seed, "wrapped key"))
    kind = host.ak.ek_kind
    with tpm.connected() as esys:
        try:
            with loaded_ek(tpm, esys, kind) as ek:
                private = _import(esys, kind, ek, public, duplicate, seed)
            name = salt_name(tpm, esys, host)
            with (
                loaded_ek(tpm, esys, kind) as ek,
                salt_key(tpm, esys, host, ek) as salt,
                flushed(esys, _load(esys, kind, ek, private, public)) as sealed,
                policy_session(esys, salt, name) as session,
            ):
                wanted = TPMA_SESSION.CONTINUESESSION | TPMA_SESSION.ENCRYPT
                esys.trsess_set_attributes(session, wanted)
                esys.policy_pcr(session, None, tss_selection(wrapped.selection))
                return bytes(esys.unseal(sealed, session1=session))
        except TSS2_Exception as exc:
            if is_secret_refused(esys, exc) or exc.rc == _RC_PCR_CHANGED:
                raise UnwrapRefused(
                    "the key is wrapped to another TPM or to another PCR state than this host's"
                ) from exc
            raise


def _import(
    esys: ESAPI,
    kind: EkKind,
    ek: ESYS_TR,
    public: TPM2B_PUBLIC,
    duplicate: TPM2B_PRIVATE,
    seed: TPM2B_ENCRYPTED_SECRET,
) -> TPM2B_PRIVATE:
    no_inner_wrap = TPMT_SYM_DEF_OBJECT(algorithm=TPM2_ALG.NULL)
    with ek_session(esys, kind) as session:
        return esys.import_(
            ek, TPM2B_DATA(), public, duplicate, seed, no_inner_wrap, session1=session
        )


def _load(
    esys: ESAPI, kind: EkKind, ek: ESYS_TR, private: TPM2B_PRIVATE, public: TPM2B_PUBLIC
) -> ESYS_TR:
    with ek_session(esys, kind) as session:
        return esys.load(ek, private, public, session1=session)
