# SPDX-License-Identifier: Apache-2.0
"""The keys of a host's TPM: the endorsement key with its certificate, and attestation keys.

EK templates L-1 and L-2 and certificate indexes: TCG EK Credential Profile 2.5, B.3.3, B.3.4 and
2.2.1.4; on the SM2 curve L-2's attributes and policy.  AKs are made under the EK: the endorsement
hierarchy shows reset and restart counts unobfuscated (TPM 2.0 Library Part 1, 36.7), and the AK's
qualified name names its EK.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, cast, get_args

from tpm2_pytss import (
    ESAPI,
    ESYS_TR,
    TPM2_ALG,
    TPM2_ECC,
    TPM2B_PRIVATE,
    TPM2B_PUBLIC,
    TPM2B_SENSITIVE_CREATE,
    TPMT_PUBLIC,
    TSS2_Exception,
)

from e2etrust_core.evidence.quote import check_ak
from e2etrust_core.evidence.tpm_bytes import sized, uint
from e2etrust_core.evidence.tpm_structures import (
    DECRYPT,
    FIXED_PARENT,
    FIXED_TPM,
    RESTRICTED,
    SENSITIVE_DATA_ORIGIN,
    SIGN,
    USER_WITH_AUTH,
    Public,
    decode_public,
)
from e2etrust_core.suites import TPM_ALG_RSA, Suite
from e2etrust_core.tpm.device import Tpm, flushed, is_refusal
from e2etrust_core.tpm.ek_nv import ek_certificate
from e2etrust_core.tpm.errors import KeyLost
from e2etrust_core.tpm.nv import has_handle
from e2etrust_core.tpm.sessions import policy_session

EkKind = Literal["rsa2048", "ecc-p256", "sm2"]

_ADMIN_WITH_POLICY = 1 << 7
_EK_ATTRIBUTES = (
    FIXED_TPM | FIXED_PARENT | SENSITIVE_DATA_ORIGIN | _ADMIN_WITH_POLICY | RESTRICTED | DECRYPT
)
_AK_ATTRIBUTES = (
    FIXED_TPM | FIXED_PARENT | SENSITIVE_DATA_ORIGIN | USER_WITH_AUTH | RESTRICTED | SIGN
)
#: PolicySecret(TPM_RH_ENDORSEMENT), SHA-256 (EK Credential Profile, B.3.3).
_EK_POLICY = bytes.fromhex("837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa")
_AES_128_CFB = uint(TPM2_ALG.AES, 2) + uint(128, 2) + uint(TPM2_ALG.CFB, 2)
_NULL = uint(TPM2_ALG.NULL, 2)
#: Where provisioning tools leave an EK (TCG TPM v2.0 Provisioning Guidance, 7.8).
_PERSISTENT = {"rsa2048": 0x81010001, "ecc-p256": 0x81010002}
_CERTIFICATE = {"rsa2048": 0x01C00002, "ecc-p256": 0x01C0000A, "sm2": 0x01C0001A}


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
    """Return the EK of that kind; without *kind* the first that has a certificate, else ECC.

    :raises TpmUnreachable, TpmError: the TPM is away or refused.
    """
    with tpm.connected() as esys:
        certificates = {each: ek_certificate(esys, _CERTIFICATE[each]) for each in _kinds(kind)}
        chosen = next((each for each, found in certificates.items() if found), _kinds(kind)[0])
        with loaded_ek(tpm, esys, chosen) as handle:
            public, _, _ = esys.read_public(handle)
            area = public.publicArea.marshal()
        return EndorsementKey(chosen, area, certificates[chosen])


def create_ak(tpm: Tpm, suite: Suite, ek_kind: EkKind) -> AttestationKey:
    """Make a restricted signing key of *suite* under that EK; the caller keeps it.

    :raises TpmError: the TPM cannot make such a key.
    """
    template = tss_public(_ak_template(suite))
    with (
        tpm.connected() as esys,
        loaded_ek(tpm, esys, ek_kind) as parent,
        endorsement_session(esys) as session,
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
def endorsement_session(esys: ESAPI) -> Iterator[ESYS_TR]:
    """Yield a policy session that satisfies an EK's policy: PolicySecret(endorsement)."""
    with policy_session(esys) as session:
        esys.policy_secret(ESYS_TR.ENDORSEMENT, session)
        yield session


@contextmanager
def loaded_ek(tpm: Tpm, esys: ESAPI, kind: EkKind) -> Iterator[ESYS_TR]:
    """Yield a handle of the EK: where a provisioning tool left it, or made from its template."""
    template = decode_public(_EK_TEMPLATES[kind])
    persistent = _persistent_ek(esys, kind, template)
    if persistent is not None:
        try:
            yield persistent
        finally:
            esys.tr_close(persistent)
        return

    def make() -> ESYS_TR:
        handle, _, _, _, _ = esys.create_primary(
            TPM2B_SENSITIVE_CREATE(), tss_public(_EK_TEMPLATES[kind]), ESYS_TR.ENDORSEMENT
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
        with loaded_ek(tpm, esys, ak.ek_kind) as parent, endorsement_session(esys) as session:
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


def _kinds(kind: EkKind | None) -> list[EkKind]:
    return [kind] if kind is not None else sorted(get_args(EkKind))


def ecc_storage_template(attributes: int, policy: bytes = b"") -> bytes:
    """Return the TPMT_PUBLIC template of a storage key on P-256 with AES-128-CFB."""
    return _ecc(TPM2_ECC.NIST_P256, attributes, policy)


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


def _persistent_ek(esys: ESAPI, kind: EkKind, template: Public) -> ESYS_TR | None:
    number = _PERSISTENT.get(kind)
    if number is None or not has_handle(esys, number):
        return None
    handle = esys.tr_from_tpmpublic(number)
    wanted = False
    try:
        public, _, _ = esys.read_public(handle)
        wanted = _same_template(public.publicArea.marshal(), template)
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


def tss_public(area: bytes) -> TPM2B_PUBLIC:
    """Return a TPMT_PUBLIC for the TSS."""
    public, _ = TPMT_PUBLIC.unmarshal(area)
    return TPM2B_PUBLIC(publicArea=public)


def _template(kind: int, attributes: int, policy: bytes, rest: bytes) -> bytes:
    head = uint(kind, 2) + uint(TPM2_ALG.SHA256, 2) + uint(attributes, 4) + sized(policy)
    return head + rest


def _ecc(curve: int, attributes: int, policy: bytes) -> bytes:
    rest = _AES_128_CFB + _NULL + uint(curve, 2) + _NULL + sized(bytes(32)) * 2
    return _template(TPM2_ALG.ECC, attributes, policy, rest)


_EK_TEMPLATES: dict[str, bytes] = {
    "rsa2048": _template(
        TPM2_ALG.RSA,
        _EK_ATTRIBUTES,
        _EK_POLICY,
        _AES_128_CFB + _NULL + uint(2048, 2) + uint(0, 4) + sized(bytes(256)),
    ),
    "ecc-p256": _ecc(TPM2_ECC.NIST_P256, _EK_ATTRIBUTES, _EK_POLICY),
    # The profile's own template for this curve (H-5) wants SM3 and SM4, which few TPMs have: this
    # is L-2 on the SM2 curve.
    "sm2": _ecc(TPM2_ECC.SM2_P256, _EK_ATTRIBUTES, _EK_POLICY),
}


def _ak_template(suite: Suite) -> bytes:
    scheme = uint(suite.scheme, 2) + uint(suite.hash.alg_id, 2)
    if suite.key == TPM_ALG_RSA:
        rest = _NULL + scheme + uint(2048, 2) + uint(0, 4) + sized(b"")
    else:
        curve = cast(int, suite.curve)
        rest = _NULL + scheme + uint(curve, 2) + _NULL + sized(b"") * 2
    return _template(suite.key, _AK_ATTRIBUTES, b"", rest)
