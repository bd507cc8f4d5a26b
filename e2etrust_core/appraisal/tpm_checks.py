# SPDX-License-Identifier: Apache-2.0
"""Which TPM a host has, as it was enrolled, held against a policy's rules."""

from __future__ import annotations

import hashlib

from e2etrust_core.appraisal.errors import (
    TpmAcceptanceRefused,
    TpmEkRefused,
    TpmMakerRefused,
    TpmMakerUnknown,
    TpmSuiteRefused,
)
from e2etrust_core.appraisal.reference import HostReference
from e2etrust_core.appraisal.tpm_rules import TpmRules
from e2etrust_core.evidence.ek_manufacturer import manufacturer_of

_CERTIFICATE = "certificate"


def check_tpm(rules: TpmRules, reference: HostReference) -> None:
    """Hold the host's record against *rules*.

    A maker's name is the certificate's, so it counts only where an authority of the operator's
    vouched for that very certificate: of a key from the inventory no maker is known.

    :raises TpmSuiteRefused, TpmAcceptanceRefused, TpmEkRefused, TpmMakerRefused: not as the policy
        accepts.
    :raises TpmMakerUnknown: the policy asks who made the TPM, and nobody vouched for that.
    :raises EkCertificateUnreadable: the record's certificate is none.
    """
    if rules.suites is not None and reference.suite.name not in rules.suites:
        raise TpmSuiteRefused("the host's attestation key is of a suite that is not accepted")
    by = reference.ek_accepted_by.partition(":")[0]
    if rules.accepted_by is not None and by not in rules.accepted_by:
        raise TpmAcceptanceRefused("the endorsement key was accepted by what is not good enough")
    digest = hashlib.sha256(reference.ek_public).digest()
    if rules.eks is not None and digest not in rules.eks:
        raise TpmEkRefused("the host's endorsement key is none of those that are accepted")
    if rules.manufacturers is not None:
        maker = maker_vouched_for(reference.ek_certificate, reference.ek_accepted_by)
        if maker not in rules.manufacturers:
            raise TpmMakerRefused("the TPM is of a maker that is not accepted")


def vouched(fingerprint: str) -> str:
    """Return what ``ek_accepted_by`` is where an authority vouched for that certificate.

    :param fingerprint: its SHA-256 (hex).
    """
    return f"{_CERTIFICATE}: {fingerprint}"


def maker_vouched_for(certificate: bytes | None, accepted_by: str) -> bytes:
    """Return the maker that an EK certificate names which an authority vouched for.

    :param accepted_by: as :attr:`.reference.HostReference.ek_accepted_by`.
    :raises TpmMakerUnknown: there is no such certificate, or it names no maker.
    :raises EkCertificateUnreadable: it is none.
    """
    if certificate is None:
        raise TpmMakerUnknown("the host's TPM has no certificate that tells who made it")
    maker, fingerprint = manufacturer_of(certificate)
    if accepted_by != vouched(fingerprint):
        raise TpmMakerUnknown("no authority vouched for the certificate that names the TPM's maker")
    if maker is None:
        raise TpmMakerUnknown("the endorsement key's certificate does not tell who made the TPM")
    return maker
