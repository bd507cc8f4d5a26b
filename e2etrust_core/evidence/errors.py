# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with evidence, one class a named outcome."""

from __future__ import annotations

from e2etrust_core.errors import E2ETrustError, EvidenceError


class StructureError(EvidenceError):
    """Bytes are not the TPM structure they should be (TPM 2.0 Library Part 2)."""

    code = "STRUCTURE_MALFORMED"


class KeyRefused(E2ETrustError):
    """A public area is not that of a key that may be used so."""

    code = "KEY_REFUSED"
    remedy = "enrol the host again with keys made by e2etrust-agent in its TPM"


class AkRefused(KeyRefused):
    """The attestation key could sign what no TPM said."""

    code = "AK_REFUSED"


class EkRefused(KeyRefused):
    """The endorsement key is of a kind that nothing can be encrypted to."""

    code = "EK_REFUSED"


class EkCertificateError(E2ETrustError):
    """The endorsement key is not vouched for."""

    code = "EK_CERTIFICATE"
    remedy = "say which key is expected (host enrol, ek_pins)"


class EkCertificateAbsent(EkCertificateError):
    code = "EK_CERT_ABSENT"
    remedy = "say which key is expected (openstack attestation host enrol, or ek_pins)"


class EkCertificateUnreadable(EkCertificateError):
    code = "EK_CERT_UNREADABLE"
    remedy = "read it from the TPM again, or say which key is expected (host enrol, ek_pins)"


class EkIssuerUnknown(EkCertificateError):
    code = "EK_ISSUER_UNKNOWN"
    remedy = "add the TPM vendor's certificates to ek_ca_bundle, if you trust that vendor"


class EkChainUnreadable(EkCertificateError):
    """Nobody in the bundle issued the EK certificate, and who may have cannot all be read."""

    code = "EK_CHAIN_UNREADABLE"
    remedy = "add the missing authorities' certificates to ek_ca_bundle, or update the firmware"


class EkCertificateExpired(EkCertificateError):
    code = "EK_CERT_NOT_VALID_NOW"
    remedy = "check the clock; where it ran out, say which key is expected (host enrol, ek_pins)"


class EkCertificateForeign(EkCertificateError):
    code = "EK_CERT_OTHER_KEY"
    remedy = "the certificate is of another TPM: check which machine this is"


class QuoteError(EvidenceError):
    """A quote does not prove what it is said to prove."""

    code = "QUOTE_MALFORMED"
    remedy = "restart e2etrust-agent on the host; if it stays so, look for tampering"


class QuoteMagicWrong(QuoteError):
    code = "QUOTE_MAGIC"


class QuoteTypeWrong(QuoteError):
    code = "QUOTE_TYPE"


class SignerForeign(QuoteError):
    code = "AK_FOREIGN"
    remedy = "the quote was made by another TPM or key: enrol the host again if it was replaced"


class SignatureWrong(QuoteError):
    code = "SIGNATURE_WRONG"


class NonceMismatch(QuoteError):
    code = "NONCE_MISMATCH"
    remedy = "attest again with a new challenge"


class SelectionMismatch(QuoteError):
    code = "SELECTION_MISMATCH"
    remedy = "check that the host's TPM has the PCR banks that its policy names"


class CertifiedOther(QuoteError):
    """The TPM certified something else than was asked for."""

    code = "CERTIFIED_OTHER"
    remedy = "find out whose key or NV index it is"


class PcrDigestMismatch(QuoteError):
    code = "PCR_DIGEST_MISMATCH"
    remedy = "attest again: PCRs may have changed while they were read"


class EventLogError(EvidenceError):
    """An event log cannot be read."""

    code = "EVENT_LOG_MALFORMED"
    remedy = "check that event_log in agent.conf names the firmware's binary_bios_measurements"


class LaterLogError(EventLogError):
    """What systemd is said to have measured cannot be read, and PCRs are not as without it."""

    code = "LATER_LOG_MALFORMED"
    remedy = "check that systemd_log in agent.conf names systemd's tpm2-measure.log"


class EventLogBankAbsent(EventLogError):
    code = "EVENT_LOG_BANK_ABSENT"
    remedy = "let the policy name a PCR bank that the firmware logs"


class ImaListError(EvidenceError):
    """The IMA measurement list cannot be decoded, or says of an entry what its digest denies."""

    code = "IMA_LIST_MALFORMED"
    remedy = "check that ima_list in agent.conf names the kernel's binary_runtime_measurements"


class ImaListMismatch(E2ETrustError):
    """The IMA measurement list does not come to the quoted PCR."""

    code = "IMA_LIST_MISMATCH"
    remedy = "take quote and list again, the list after the quote; look for a tampered list"
