# SPDX-License-Identifier: Apache-2.0
"""The key that a session is salted to, so that no interposer can put one of its own in its place.

It is the endorsement key as the host is known by it.  tpm2-tss makes no salt for an SM2 key: there
it is a storage key on P-256 of the same TPM, for which the attestation key vouches anew each time
(TPM 2.0 Library Part 3, 18.2).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tpm2_pytss import (
    ESAPI,
    ESYS_TR,
    TPM2_ALG,
    TPM2_ECC,
    TPM2B_DATA,
    TPM2B_SENSITIVE_CREATE,
    TPMT_SIG_SCHEME,
)

from e2etrust_core.evidence.certified import Certified, Certifier, verify_certified_key
from e2etrust_core.evidence.errors import QuoteError, StructureError
from e2etrust_core.evidence.public_areas import AES_128, ecc, public_area
from e2etrust_core.evidence.tpm_structures import (
    DECRYPT,
    FIXED_PARENT,
    FIXED_TPM,
    NO_DA,
    RESTRICTED,
    SENSITIVE_DATA_ORIGIN,
    USER_WITH_AUTH,
    EccKey,
    decode_public,
    name_of,
)
from e2etrust_core.suites import HASHES, TPM_ECC_SM2_P256
from e2etrust_core.tpm.device import Tpm, flushed
from e2etrust_core.tpm.ek_templates import tss_public
from e2etrust_core.tpm.errors import SaltKeyForeign
from e2etrust_core.tpm.keys import (
    AttestationKey,
    loaded_ak,
    recalled,
)

_NONCE = 32
_ATTRIBUTES = (
    FIXED_TPM | FIXED_PARENT | SENSITIVE_DATA_ORIGIN | USER_WITH_AUTH | NO_DA | RESTRICTED | DECRYPT
)
#: A storage key on P-256 that protects by AES-128.
_TEMPLATE = public_area(
    TPM2_ALG.ECC,
    HASHES["sha256"],
    _ATTRIBUTES,
    b"",
    ecc(TPM2_ECC.NIST_P256, AES_128, x=bytes(32), y=bytes(32)),
)


@dataclass(frozen=True, slots=True)
class KnownHost:
    """What a host's TPM is known by: its AK and the TPMT_PUBLIC of the EK that it is under."""

    ak: AttestationKey
    ek_public: bytes


def salt_name(tpm: Tpm, esys: ESAPI, host: KnownHost) -> bytes:
    """Return the Name of the key that sessions with *host*'s TPM are salted to.

    Call it while nothing is loaded: a TPM may have no more than three objects at a time.

    :raises SaltKeyForeign: the attestation key does not vouch for the key that the TPM shows.
    :raises KeyLost: *host*'s attestation key is not of this TPM.
    """
    if not _is_sm2(host):
        return name_of(host.ek_public)
    nonce = secrets.token_bytes(_NONCE)
    with loaded_ak(tpm, esys, host.ak) as signer, _storage_key(tpm, esys) as handle:
        public = esys.read_public(handle)[0].publicArea.marshal()
        attest, signature = esys.certify(
            handle, signer, TPM2B_DATA(nonce), TPMT_SIG_SCHEME(scheme=TPM2_ALG.NULL)
        )
    who = Certifier(host.ak.public, host.ek_public, nonce)
    try:
        verify_certified_key(Certified(bytes(attest), signature.marshal()), who, public)
    except (QuoteError, StructureError) as exc:
        raise SaltKeyForeign(
            "the attestation key does not vouch for the key that secrets would be encrypted to"
        ) from exc
    return name_of(public)


@contextmanager
def salt_key(tpm: Tpm, esys: ESAPI, host: KnownHost, ek: ESYS_TR) -> Iterator[ESYS_TR]:
    """Yield the loaded key; it is the caller who checks its Name, by the session that he starts.

    :param ek: the loaded endorsement key.
    """
    if not _is_sm2(host):
        yield ek
        return
    with _storage_key(tpm, esys) as handle:
        yield handle


@contextmanager
def _storage_key(tpm: Tpm, esys: ESAPI) -> Iterator[ESYS_TR]:
    def make() -> ESYS_TR:
        handle, _, _, _, _ = esys.create_primary(
            TPM2B_SENSITIVE_CREATE(), tss_public(_TEMPLATE), ESYS_TR.ENDORSEMENT
        )
        return handle

    with flushed(esys, recalled(tpm, esys, "salt", make)) as handle:
        yield handle


def _is_sm2(host: KnownHost) -> bool:
    key = decode_public(host.ek_public).key
    return isinstance(key, EccKey) and key.curve == TPM_ECC_SM2_P256
