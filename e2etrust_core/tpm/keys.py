# SPDX-License-Identifier: Apache-2.0
"""The keys of a host's TPM: the endorsement key with its certificate, and attestation keys.

AKs are made under the EK: the endorsement hierarchy shows reset and restart counts unobfuscated
(TPM 2.0 Library Part 1, 36.7), and the AK's qualified name names its EK.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast, get_args

from tpm2_pytss import (
    ESAPI,
    ESYS_TR,
    TPM2B_PRIVATE,
    TPM2B_SENSITIVE_CREATE,
    TSS2_Exception,
)

from e2etrust_core.evidence.public_areas import NO_CIPHER, ecc, public_area, rsa
from e2etrust_core.evidence.quote import check_ak
from e2etrust_core.evidence.tpm_bytes import uint
from e2etrust_core.evidence.tpm_structures import (
    FIXED_PARENT,
    FIXED_TPM,
    RESTRICTED,
    SENSITIVE_DATA_ORIGIN,
    SIGN,
    USER_WITH_AUTH,
    Public,
    decode_public,
)
from e2etrust_core.suites import HASHES, TPM_ALG_RSA, Suite
from e2etrust_core.tpm.device import Tpm, flushed, is_refusal
from e2etrust_core.tpm.ek_nv import ek_certificate
from e2etrust_core.tpm.ek_templates import (
    EK_TEMPLATES,
    EkKind,
    EkTemplate,
    can_make,
    tss_public,
)
from e2etrust_core.tpm.errors import EkKindUnsupported, KeyLost
from e2etrust_core.tpm.nv import has_handle
from e2etrust_core.tpm.sessions import policy_session

_AK_ATTRIBUTES = (
    FIXED_TPM | FIXED_PARENT | SENSITIVE_DATA_ORIGIN | USER_WITH_AUTH | RESTRICTED | SIGN
)


@dataclass(frozen=True, slots=True)
class EndorsementKey:
    """``public`` TPMT_PUBLIC, ``certificate`` DER or None where the TPM carries none."""

    kind: EkKind
    public: bytes
    certificate: bytes | None


@dataclass(frozen=True, slots=True)
class AttestationKey:
    """An AK to keep: ``public`` TPMT_PUBLIC, ``private`` TPM2B_PRIVATE (of use to its TPM only)."""

    suite: str
    ek_kind: EkKind
    public: bytes
    private: bytes


def read_ek(tpm: Tpm, kind: EkKind | None = None) -> EndorsementKey:
    """Return the EK of that kind, or of the one that the TPM's maker chose.

    That is, in the order of :data:`.ek_templates.EkKind` and among those that the TPM can make, the
    first that has a certificate; where none has, the first.

    :raises EkKindUnsupported: the TPM has not the algorithms of *kind*, or of any.
    :raises TpmUnreachable, TpmError: the TPM is away or refused.
    """
    with tpm.connected() as esys:
        asked: list[EkKind] = [*get_args(EkKind)] if kind is None else [kind]
        kinds = [each for each in asked if can_make(esys, each)]
        if not kinds:
            raise EkKindUnsupported(f"the TPM has not the algorithms of {' or '.join(asked)}")
        numbers = {each: EK_TEMPLATES[each].certificate for each in kinds}
        chosen = next((each for each in kinds if has_handle(esys, numbers[each])), kinds[0])
        certificate = ek_certificate(esys, numbers[chosen])
        with loaded_ek(tpm, esys, chosen) as handle:
            public, _, _ = esys.read_public(handle)
            return EndorsementKey(chosen, public.publicArea.marshal(), certificate)


def create_ak(tpm: Tpm, suite: Suite, ek_kind: EkKind) -> AttestationKey:
    """Make a restricted signing key of *suite* under that EK; the caller keeps it.

    :raises TpmError: the TPM cannot make such a key.
    """
    template = tss_public(_ak_template(suite))
    with (
        tpm.connected() as esys,
        loaded_ek(tpm, esys, ek_kind) as parent,
        ek_session(esys, ek_kind) as session,
    ):
        private, public, _, _, _ = esys.create(
            parent, TPM2B_SENSITIVE_CREATE(), template, session1=session
        )
        ak = AttestationKey(suite.name, ek_kind, public.publicArea.marshal(), private.marshal())
    check_ak(ak.public, suite)
    return ak


def check_ak_loads(tpm: Tpm, ak: AttestationKey) -> None:
    """Check that this TPM still takes *ak*.

    :raises KeyLost: the blob is not of this TPM.
    """
    with tpm.connected() as esys, loaded_ak(tpm, esys, ak):
        pass


@contextmanager
def ek_session(esys: ESAPI, kind: EkKind) -> Iterator[ESYS_TR]:
    """Yield a session that lets an EK of that kind be used as a parent."""
    if EK_TEMPLATES[kind].by_value:
        yield ESYS_TR.PASSWORD
        return
    with policy_session(esys) as session:
        esys.policy_secret(ESYS_TR.ENDORSEMENT, session)
        yield session


@contextmanager
def loaded_ek(tpm: Tpm, esys: ESAPI, kind: EkKind) -> Iterator[ESYS_TR]:
    """Yield a handle of the EK: where a provisioning tool left it, or made from its template."""
    template = EK_TEMPLATES[kind]
    persistent = _persistent_ek(esys, template)
    if persistent is not None:
        try:
            yield persistent
        finally:
            esys.tr_close(persistent)
        return

    def make() -> ESYS_TR:
        handle, _, _, _, _ = esys.create_primary(
            TPM2B_SENSITIVE_CREATE(), template.tss, ESYS_TR.ENDORSEMENT
        )
        return handle

    with flushed(esys, recalled(tpm, esys, f"ek {kind}", make)) as handle:
        yield handle


@contextmanager
def loaded_ak(tpm: Tpm, esys: ESAPI, ak: AttestationKey) -> Iterator[ESYS_TR]:
    """Yield a handle of *ak*.

    :raises KeyLost: it is not of this TPM.
    """

    def load() -> ESYS_TR:
        with loaded_ek(tpm, esys, ak.ek_kind) as parent, ek_session(esys, ak.ek_kind) as session:
            private, _ = TPM2B_PRIVATE.unmarshal(ak.private)
            try:
                return esys.load(parent, private, tss_public(ak.public), session1=session)
            except TSS2_Exception as exc:
                if is_refusal(exc):
                    raise KeyLost("the attestation key is not of this TPM") from exc
                raise

    name = "ak " + hashlib.sha256(ak.public + ak.private).hexdigest()
    with flushed(esys, recalled(tpm, esys, name, load)) as handle:
        yield handle


def recalled(tpm: Tpm, esys: ESAPI, name: str, make: Callable[[], ESYS_TR]) -> ESYS_TR:
    """Load the saved context of that name; where there is none, or none that still holds, make."""
    context = tpm.contexts.get(name)
    if context is not None:
        try:
            return esys.context_load(context)
        except TSS2_Exception:
            tpm.contexts.pop(name, None)  # the TPM was reset since
    handle = make()
    try:
        tpm.contexts[name] = esys.context_save(handle)
    except BaseException:
        esys.flush_context(handle)
        raise
    return handle


def _persistent_ek(esys: ESAPI, template: EkTemplate) -> ESYS_TR | None:
    number = template.persistent
    if number is None or not has_handle(esys, number):
        return None
    handle = esys.tr_from_tpmpublic(number)
    wanted = False
    try:
        public, _, _ = esys.read_public(handle)
        wanted = _same_template(public.publicArea.marshal(), decode_public(template.public))
    finally:
        if not wanted:
            esys.tr_close(handle)
    return handle if wanted else None


def _same_template(public: bytes, template: Public) -> bool:
    found = decode_public(public)
    same = (
        found.type == template.type
        and found.name_hash == template.name_hash
        and found.attributes == template.attributes
        and found.auth_policy == template.auth_policy
        and found.symmetric == template.symmetric
        and found.scheme == template.scheme
    )
    sizes = [getattr(key, "bits", getattr(key, "curve", None)) for key in (found.key, template.key)]
    return same and sizes[0] == sizes[1]


def _ak_template(suite: Suite) -> bytes:
    scheme = uint(suite.scheme, 2) + uint(suite.hash.alg_id, 2)
    if suite.key == TPM_ALG_RSA:
        rest = rsa(2048, NO_CIPHER, scheme)
    else:
        rest = ecc(cast(int, suite.curve), NO_CIPHER, scheme)
    return public_area(suite.key, HASHES["sha256"], _AK_ATTRIBUTES, b"", rest)
