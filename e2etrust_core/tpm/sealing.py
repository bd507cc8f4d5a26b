# SPDX-License-Identifier: Apache-2.0
"""Data sealed by this TPM for itself, under a policy of PCRs, secrets, counters or approvals.

Unlike a wrapped key (:mod:`.key_unwrap`) it never leaves the machine.  The secret crosses the
TPM's bus encrypted in both directions.
"""

from __future__ import annotations

from dataclasses import dataclass

from tpm2_pytss import (
    ESAPI,
    ESYS_TR,
    TPM2B_OPERAND,
    TPM2B_PRIVATE,
    TPM2B_PUBLIC,
    TPM2B_SENSITIVE_CREATE,
    TPM2B_SENSITIVE_DATA,
    TPMA_SESSION,
    TPMS_SENSITIVE_CREATE,
    TPMT_PUBLIC,
    TPMT_SIGNATURE,
    TSS2_Exception,
)

from e2etrust_core.errors import InputError
from e2etrust_core.evidence.key_wrap import MAX_SEALED
from e2etrust_core.evidence.object_policy import (
    TPM_EO_UNSIGNED_LE,
    Authorized,
    CounterAtMost,
    PcrsAre,
    SecretKnown,
    Step,
    policy_digest,
    to_be_signed,
)
from e2etrust_core.evidence.tpm_structures import (
    FIXED_PARENT,
    FIXED_TPM,
    NO_DA,
    encode_keyed_hash_public,
    name_of,
)
from e2etrust_core.suites import HASHES
from e2etrust_core.tpm.device import Tpm, flushed, is_refusal
from e2etrust_core.tpm.ek_templates import EkKind
from e2etrust_core.tpm.errors import KeyLost, PolicyUnsatisfied
from e2etrust_core.tpm.keys import EndorsementKey, ek_session, loaded_ek
from e2etrust_core.tpm.nv import opened_nv
from e2etrust_core.tpm.pcr import tss_selection
from e2etrust_core.tpm.sessions import check_name, encrypted_session, policy_session

#: TPM_RC_PCR_CHANGED, TPM_RC_POLICY: a step does not hold now (Part 2, 6.6.3).
_UNSATISFIED = {0x128, 0x126}


@dataclass(frozen=True, slots=True)
class Sealed:
    """``public`` TPMT_PUBLIC, ``private`` TPM2B_PRIVATE: of use to its TPM only."""

    public: bytes
    private: bytes


def seal(tpm: Tpm, ek: EndorsementKey, secret: bytes, steps: tuple[Step, ...]) -> Sealed:
    """Seal *secret* (1 to 128 bytes) under that EK (RSA or P-256), for who satisfies *steps*.

    :param ek: as it is known of this TPM; its Name is what the encryption relies on.
    :raises InputError: a secret of another size, or no step.
    :raises SaltKeyForeign: this TPM shows another key.
    """
    if not 1 <= len(secret) <= MAX_SEALED:
        raise InputError(f"a secret of {len(secret)} bytes: 1 to {MAX_SEALED} can be sealed")
    attributes = NO_DA | FIXED_TPM | FIXED_PARENT
    area = encode_keyed_hash_public(HASHES["sha256"], attributes, policy_digest(steps), b"")
    sensitive = TPM2B_SENSITIVE_CREATE(TPMS_SENSITIVE_CREATE(data=TPM2B_SENSITIVE_DATA(secret)))
    with (
        tpm.connected() as esys,
        loaded_ek(tpm, esys, ek.kind) as parent,
        ek_session(esys, ek.kind) as session,
        encrypted_session(esys, parent, name_of(ek.public)) as hidden,
    ):
        private, public, _, _, _ = esys.create(
            parent, sensitive, _public(area), session1=session, session2=hidden
        )
        return Sealed(public.publicArea.marshal(), private.marshal())


def unseal(tpm: Tpm, ek: EndorsementKey, sealed: Sealed, steps: tuple[Step, ...]) -> bytes:
    """Return the secret.

    :param steps: as it was sealed; an :class:`Authorized` one with its approval.
    :raises PolicyUnsatisfied: a step does not hold, or these are not the steps of the object.
    :raises KeyLost: it was sealed by another TPM.
    :raises SaltKeyForeign: this TPM shows another EK.
    """
    with tpm.connected() as esys, loaded_ek(tpm, esys, ek.kind) as parent:
        check_name(esys, parent, name_of(ek.public))
        with flushed(esys, _load(esys, parent, ek.kind, sealed)) as handle:
            try:
                with policy_session(esys, parent, name_of(ek.public)) as session:
                    wanted = TPMA_SESSION.CONTINUESESSION | TPMA_SESSION.ENCRYPT
                    esys.trsess_set_attributes(session, wanted)
                    for step in steps:
                        satisfy(esys, session, step)
                    return bytes(esys.unseal(handle, session1=session))
            except TSS2_Exception as exc:
                if is_refusal(exc) or exc.rc in _UNSATISFIED:
                    raise PolicyUnsatisfied(
                        "what is sealed is not for the state that this TPM is in"
                    ) from exc
                raise


def satisfy(esys: ESAPI, session: ESYS_TR, step: Step) -> None:
    """Have the TPM take *step* in that policy session.

    :raises PolicyUnsatisfied: an approval is missing.
    :raises NvFailed: the counter is not there.
    """
    if isinstance(step, PcrsAre):
        esys.policy_pcr(session, None, tss_selection(step.selection))
    elif isinstance(step, SecretKnown):
        esys.policy_secret(ESYS_TR(_HIERARCHIES[step.hierarchy]), session)
    elif isinstance(step, CounterAtMost):
        with opened_nv(esys, step.index) as index:
            operand = TPM2B_OPERAND(buffer=step.operand)
            esys.policy_nv(index, index, session, operand, TPM_EO_UNSIGNED_LE)
    else:
        _satisfy_authorized(esys, session, step)


def _satisfy_authorized(esys: ESAPI, session: ESYS_TR, step: Authorized) -> None:
    if step.approval is None:
        raise PolicyUnsatisfied("nobody approved the state that this host is in")
    for one in step.approval.steps:
        satisfy(esys, session, one)
    signature, _ = TPMT_SIGNATURE.unmarshal(step.approval.signature)
    with flushed(esys, esys.load_external(_public(step.authority), hierarchy=ESYS_TR.OWNER)) as key:
        ticket = esys.verify_signature(
            key, to_be_signed(step.approval.steps, step.purpose), signature
        )
    esys.policy_authorize(
        session,
        policy_digest(step.approval.steps),
        name_of(step.authority),
        ticket,
        step.purpose,
    )


#: TPM_RH_OWNER, TPM_RH_ENDORSEMENT (Part 2, 7.4).
_HIERARCHIES = {0x40000001: ESYS_TR.OWNER, 0x4000000B: ESYS_TR.ENDORSEMENT}


def _load(esys: ESAPI, parent: ESYS_TR, kind: EkKind, sealed: Sealed) -> ESYS_TR:
    private, _ = TPM2B_PRIVATE.unmarshal(sealed.private)
    with ek_session(esys, kind) as session:
        try:
            return esys.load(parent, private, _public(sealed.public), session1=session)
        except TSS2_Exception as exc:
            if is_refusal(exc):
                raise KeyLost("what is sealed is not of this TPM") from exc
            raise


def _public(area: bytes) -> TPM2B_PUBLIC:
    return TPM2B_PUBLIC(publicArea=TPMT_PUBLIC.unmarshal(area)[0])
