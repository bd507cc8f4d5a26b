# SPDX-License-Identifier: Apache-2.0
"""Is a quote what it says: made by that key, for that challenge, over those PCR values?

A quote passes six checks in a fixed order, each with its own error; partial success is none
(TPM 2.0 Library Part 1, 31; Part 3, 18.4 TPM2_Quote).
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from e2etrust_core.crypto import Sm2PublicKey, digest_of, sm2_verify
from e2etrust_core.evidence.errors import (
    AkRefused,
    NonceMismatch,
    PcrDigestMismatch,
    QuoteError,
    QuoteMagicWrong,
    QuoteTypeWrong,
    SelectionMismatch,
    SignatureWrong,
    SignerForeign,
    StructureError,
)
from e2etrust_core.evidence.model import PcrSelection, PcrValues, Quote
from e2etrust_core.evidence.protected_seed import hash_of
from e2etrust_core.evidence.tpm_bytes import uint
from e2etrust_core.evidence.tpm_structures import (
    DECRYPT,
    FIXED_PARENT,
    FIXED_TPM,
    KEYS_KNOWN,
    RESTRICTED,
    SENSITIVE_DATA_ORIGIN,
    SIGN,
    TPM_RH_ENDORSEMENT,
    AttestedQuote,
    EccKey,
    Public,
    RsaKey,
    Signature,
    decode_public,
    decode_quote,
    decode_signature,
    public_key_of,
    qualified_name,
)
from e2etrust_core.suites import HASHES, SUITES, Suite

_AK_MUST = FIXED_TPM | FIXED_PARENT | SENSITIVE_DATA_ORIGIN | RESTRICTED | SIGN
_RSA_BITS = 2048
#: The credential challenge is for an AK's name: two keys of one name, as SHA-1 has them, were one.
_LEAST_NAME = 32


@dataclass(frozen=True, slots=True)
class QuoteFacts:
    """What a good quote says.

    ``clock`` in milliseconds, ``safe`` False where the TPM's clock may have gone back after an
    unorderly shutdown; ``pcrs`` are the values under the signature, all of them and no others.
    """

    clock: int
    reset_count: int
    restart_count: int
    safe: bool
    firmware_version: int
    pcrs: PcrValues


@dataclass(frozen=True, slots=True)
class QuoteCase:
    """A decoded quote, and what it is held against."""

    quote: Quote
    attested: AttestedQuote
    signature: Signature
    ak_public: bytes
    ak: Public
    suite: Suite
    qualifying: bytes
    selection: PcrSelection
    ek_public: bytes | None

    def facts(self) -> QuoteFacts:
        """Return what the quote says; true only after every one of :data:`QUOTE_CHECKS`."""
        clock = self.attested.clock_info
        return QuoteFacts(
            clock.clock,
            clock.reset_count,
            clock.restart_count,
            clock.safe,
            self.attested.firmware_version,
            {bank: dict(values) for bank, values in self.quote.pcrs.items()},
        )


def open_quote(
    quote: Quote,
    ak_public: bytes,
    qualifying: bytes,
    selection: PcrSelection,
    ek_public: bytes | None = None,
) -> QuoteCase:
    """Decode *quote* and the key it is to be checked with.

    :raises QuoteError: QUOTE_MALFORMED, QUOTE_MAGIC or QUOTE_TYPE.
    :raises AkRefused: the AK's public area is none that may sign quotes.
    :raises SuiteError: its curve is unknown.
    """
    ak, found = _decode_ak(ak_public)
    try:
        attested = decode_quote(quote.attest)
        signature = decode_signature(quote.signature)
    except (QuoteMagicWrong, QuoteTypeWrong):
        raise
    except StructureError as exc:
        raise QuoteError(exc.reason) from None
    return QuoteCase(
        quote, attested, signature, ak_public, ak, found, qualifying, selection, ek_public
    )


def check_signer(case: QuoteCase) -> None:
    """The signed structure names the AK as its signer.

    :raises SignerForeign: another scheme, or not the qualified name of the AK under its EK.
    """
    if (case.signature.scheme, case.signature.hash) != (case.suite.scheme, case.suite.hash):
        raise SignerForeign(f"the quote is not signed as suite {case.suite.name} signs")
    if case.ek_public is None:
        return
    parent = qualified_name(case.ek_public, uint(TPM_RH_ENDORSEMENT, 4))
    expected = qualified_name(case.ak_public, parent)
    if not hmac.compare_digest(expected, case.attested.qualified_signer):
        raise SignerForeign("the quote names another key than this attester's AK as its signer")


def check_signature(case: QuoteCase) -> None:
    """Raise unless the AK signed these bytes.

    :raises SignatureWrong: it did not.
    :raises OpinionsDiffer: two crypto providers are asked and do not agree.
    """
    if not is_signed(case.quote.attest, case.signature, case.ak, case.suite):
        raise SignatureWrong("the quote's signature was not made by the attester's AK")


def is_signed(attest: bytes, signature: Signature, ak: Public, suite: Suite) -> bool:
    """Whether *ak*, of *suite*, signed *attest*.

    :raises OpinionsDiffer: two crypto providers are asked and do not agree.
    """
    key = public_key_of(ak)
    if isinstance(key, Sm2PublicKey):
        # A TPM signs e = H(attest): no Z_A in front, as GB/T 32918.2 has it of people's keys.
        e = digest_of(suite.hash.hashlib_name, attest)
        return sm2_verify(key, e, signature.r, signature.s)
    digest = hash_of(suite.hash)
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature.rsa or b"", attest, padding.PKCS1v15(), digest)
        else:
            raw = encode_dss_signature(signature.r, signature.s)
            key.verify(raw, attest, ec.ECDSA(digest))
    except InvalidSignature:
        return False
    return True


def check_nonce(case: QuoteCase) -> None:
    """:raises NonceMismatch: made for another challenge, or for none."""
    if not case.qualifying or not hmac.compare_digest(case.qualifying, case.attested.extra_data):
        raise NonceMismatch("the quote is not an answer to this challenge")


def check_selection(case: QuoteCase) -> None:
    """Each PCR that is asked for or claimed is selected under the signature, in its own bank.

    :raises SelectionMismatch: nothing is asked for, a bank is selected twice, something asked
        for is not selected, or the values sent are not exactly those selected.
    """
    if not any(case.selection.values()):
        raise SelectionMismatch("no PCR is asked for: such a quote proves nothing")
    signed = {bank: set(indexes) for bank, indexes in case.attested.selection if indexes}
    if len(signed) != len([1 for _, indexes in case.attested.selection if indexes]):
        raise SelectionMismatch("the quote selects one PCR bank twice")
    for bank, indexes in case.selection.items():
        missing = sorted(set(indexes) - signed.get(bank, set()))
        if missing:
            raise SelectionMismatch(f"the quote leaves out PCRs {_listed(bank, missing)}")
    sent = {bank: set(values) for bank, values in case.quote.pcrs.items() if values}
    if sent != signed:
        raise SelectionMismatch("the PCR values sent are not those that the quote selects")


def check_pcr_digest(case: QuoteCase) -> None:
    """:raises PcrDigestMismatch: the values sent are not those quoted.

    The digest is over the values in the order of the signed selection, bank by bank, by the hash
    of the signing scheme (Part 3, 18.4.1).
    """
    values = []
    for bank, indexes in case.attested.selection:
        for index in indexes:
            value = case.quote.pcrs[bank][index]
            if len(value) != HASHES[bank].size:
                raise PcrDigestMismatch(f"the value sent for PCR {bank}:{index} is of no such bank")
            values.append(value)
    digest = digest_of(case.suite.hash.hashlib_name, b"".join(values))
    if not hmac.compare_digest(digest, case.attested.pcr_digest):
        raise PcrDigestMismatch("the PCR values sent are not those under the quote's signature")


#: Every check of a decoded quote, in order.
QUOTE_CHECKS: tuple[tuple[str, Callable[[QuoteCase], None]], ...] = (
    ("quote-signer", check_signer),
    ("quote-signature", check_signature),
    ("quote-nonce", check_nonce),
    ("quote-selection", check_selection),
    ("quote-digest", check_pcr_digest),
)


def verify_quote(
    quote: Quote,
    ak_public: bytes,
    qualifying: bytes,
    selection: PcrSelection,
    ek_public: bytes | None = None,
) -> QuoteFacts:
    """Check *quote* wholly and return what it says.

    :param ak_public: TPMT_PUBLIC of the attester's AK.
    :param qualifying: the qualifying data it must carry; empty is refused.
    :param selection: PCRs that must be under its signature; it may cover more, never fewer.
    :param ek_public: the AK's parent; where given, the qualified signer must be the AK under it.
    :raises QuoteError: the subclass names the check that failed.
    :raises AkRefused, SuiteError: no key that may sign quotes.
    """
    case = open_quote(quote, ak_public, qualifying, selection, ek_public)
    for _, check in QUOTE_CHECKS:
        check(case)
    return case.facts()


def verify_statement(
    quote: Quote, ak_public: bytes, suite: Suite, qualifying: bytes, ek_public: bytes
) -> None:
    """Check that the AK vouched for *qualifying*; which PCRs it quoted with it says nothing.

    :raises QuoteError: the first check that fails; its code says which.
    :raises AkRefused: the AK itself may not sign quotes.
    """
    check_ak(ak_public, suite)
    case = open_quote(quote, ak_public, qualifying, {}, ek_public)
    for check in (check_signer, check_signature, check_nonce):
        check(case)


def check_ak(ak_public: bytes, suite: Suite) -> None:
    """Check that *ak_public* is a restricted signing key of *suite*, fixed to its TPM.

    Such a key signs only what its TPM made (TPM 2.0 Library Part 1, 25.3), so no host can have
    it sign a forged quote (CVE-2021-3406).

    :raises AkRefused: it is not.
    """
    if _decode_ak(ak_public)[1] != suite:
        raise AkRefused(f"the attestation key is not of suite {suite.name}")


def suite_of(ak: Public) -> Suite:
    """Return the suite of an AK that has everything an AK must have.

    :raises AkRefused: it is no AK.
    """
    if ak.attributes & _AK_MUST != _AK_MUST or ak.attributes & DECRYPT:
        raise AkRefused(
            "the attestation key is not a restricted signing key that its TPM made and keeps"
        )
    if ak.name_hash.size < _LEAST_NAME:
        raise AkRefused(f"the attestation key is named by {ak.name_hash.name}")
    for candidate in SUITES.values():
        if _is_of(ak, candidate):
            return candidate
    raise AkRefused("the attestation key is of no algorithm suite known here")


def _is_of(ak: Public, candidate: Suite) -> bool:
    if (ak.type, ak.scheme.alg, ak.scheme.hash) != (
        candidate.key,
        candidate.scheme,
        candidate.hash,
    ):
        return False
    if isinstance(ak.key, RsaKey):
        return ak.key.bits == _RSA_BITS
    return isinstance(ak.key, EccKey) and ak.key.curve == candidate.curve


@lru_cache(maxsize=KEYS_KNOWN)
def _decode_ak(ak_public: bytes) -> tuple[Public, Suite]:
    try:
        ak = decode_public(ak_public)
        found = suite_of(ak)
        public_key_of(ak)
    except StructureError as exc:
        raise AkRefused(exc.reason) from None
    return ak, found


def _listed(bank: str, indexes: list[int]) -> str:
    return ", ".join(f"{bank}:{index}" for index in indexes)
