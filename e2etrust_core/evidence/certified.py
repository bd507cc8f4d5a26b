# SPDX-License-Identifier: Apache-2.0
"""What a TPM certifies besides PCRs: that it holds a key, and what an NV index contains.

TPM 2.0 Library Part 3, 18.2 (TPM2_Certify) and 31.16 (TPM2_NV_Certify); Part 2, 10.12.3 and
10.12.8.  They are checked as a quote is: signer, signature, nonce, and then what is said.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from e2etrust_core.evidence.errors import (
    CertifiedOther,
    NonceMismatch,
    SignatureWrong,
    SignerForeign,
)
from e2etrust_core.evidence.quote import is_signed, suite_of
from e2etrust_core.evidence.tpm_bytes import ByteReader, uint
from e2etrust_core.evidence.tpm_structures import (
    TPM_RH_ENDORSEMENT,
    AttestHead,
    ClockInfo,
    decode_public,
    decode_signature,
    name_of,
    qualified_name,
    read_attest_head,
)

TPM_ST_ATTEST_NV = 0x8014  # Part 2, 6.9
TPM_ST_ATTEST_CERTIFY = 0x8017
_MAX_NAME = 66
_MAX_NV = 2048


@dataclass(frozen=True, slots=True)
class Certified:
    """``attest`` TPMS_ATTEST, ``signature`` TPMT_SIGNATURE over it."""

    attest: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Certifier:
    """Who must have signed: the AK's and its EK's public areas; and the nonce it was asked with."""

    ak_public: bytes
    ek_public: bytes
    qualifying: bytes


@dataclass(frozen=True, slots=True)
class NvContents:
    """``name`` is the index's Name, with which its attributes are certified; see ``offset``."""

    name: bytes
    offset: int
    contents: bytes
    clock: ClockInfo


def verify_certified_key(certified: Certified, certifier: Certifier, public: bytes) -> None:
    """Check that the certifier's TPM holds the key of *public* (TPMT_PUBLIC).

    :raises QuoteError: the subclass names the check that failed.
    :raises CertifiedOther: another key is certified.
    :raises AkRefused, SuiteError: the AK may not sign for a TPM.
    :raises StructureError: malformed.
    """
    reader = ByteReader(certified.attest, "certified key")
    head = read_attest_head(reader, TPM_ST_ATTEST_CERTIFY, "certified key")
    name = reader.sized(_MAX_NAME)
    reader.sized(_MAX_NAME)
    reader.end()
    _check_certifier(certified, certifier, head)
    if not hmac.compare_digest(name, name_of(public)):
        raise CertifiedOther("the TPM certified another key than the one that was sent")


def verify_certified_nv(certified: Certified, certifier: Certifier, name: bytes) -> NvContents:
    """Return what the certifier's TPM says is in the NV index of that *name*.

    :raises QuoteError: the subclass names the check that failed.
    :raises CertifiedOther: another index is certified, or one with other attributes.
    :raises AkRefused, SuiteError: the AK may not sign for a TPM.
    :raises StructureError: malformed.
    """
    reader = ByteReader(certified.attest, "certified NV index")
    head = read_attest_head(reader, TPM_ST_ATTEST_NV, "certified NV index")
    found = reader.sized(_MAX_NAME)
    offset = reader.uint(2)
    contents = reader.sized(_MAX_NV)
    reader.end()
    _check_certifier(certified, certifier, head)
    if not hmac.compare_digest(found, name):
        raise CertifiedOther("the TPM certified another NV index than the one that was asked for")
    return NvContents(found, offset, contents, head.clock_info)


def _check_certifier(certified: Certified, certifier: Certifier, head: AttestHead) -> None:
    ak = decode_public(certifier.ak_public)
    suite = suite_of(ak)
    signature = decode_signature(certified.signature)
    if (signature.scheme, signature.hash) != (suite.scheme, suite.hash):
        raise SignerForeign(f"it is not signed as suite {suite.name} signs")
    parent = qualified_name(certifier.ek_public, uint(TPM_RH_ENDORSEMENT, 4))
    expected = qualified_name(certifier.ak_public, parent)
    if not hmac.compare_digest(expected, head.qualified_signer):
        raise SignerForeign("the TPM names another key than this attester's AK as the signer")
    if not is_signed(certified.attest, signature, ak, suite):
        raise SignatureWrong("the signature was not made by the attester's AK")
    nonce = certifier.qualifying
    if not nonce or not hmac.compare_digest(nonce, head.extra_data):
        raise NonceMismatch("it is not an answer to this challenge")
