# SPDX-License-Identifier: Apache-2.0
"""A host's record against a policy's ``tpm`` section; its evidence is good in all else."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest

from e2etrust_core.appraisal.appraise import appraise_host
from e2etrust_core.appraisal.policy import parse_timed_policy, selection_of
from e2etrust_core.appraisal.reference import HostReference
from e2etrust_core.appraisal.tpm_checks import vouched
from e2etrust_core.evidence.ek_manufacturer import manufacturer_of
from e2etrust_core.evidence.model import HostEvidence
from e2etrust_core.launch import attest_binding
from e2etrust_core.suites import ECC_P256_SHA256
from tests.unit.core.evidence.test_ek_certificate import ROOT, certify
from tests.unit.core.software_tpm import SoftwareTpm

NONCE = bytes(range(32))
TPM = SoftwareTpm()
CERTIFICATE = certify(ROOT, TPM.ek)  # of maker id:00001014
VOUCHED = vouched(manufacturer_of(CERTIFICATE)[1])
EK = hashlib.sha256(TPM.ek_public).hexdigest()
HEAD = f"name: p\nhosts: ['*']\npcrs: {{sha256: {{7: ['{TPM.pcrs['sha256'][7].hex()}']}}}}\n"
BEFORE, AFTER = datetime(2026, 11, 30, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)


def appraised(section: str, at=BEFORE, certificate=CERTIFICATE, accepted_by=VOUCHED):
    policy = parse_timed_policy(HEAD + f"tpm: {section}\n").at(at)
    selection = selection_of(policy)
    binding = attest_binding(NONCE, [])
    evidence = HostEvidence(TPM.quote(binding, selection))
    reference = HostReference(
        "host1",
        TPM.ek_public,
        TPM.ak_public,
        ECC_P256_SHA256,
        ek_certificate=certificate,
        ek_accepted_by=accepted_by,
    )
    return appraise_host(reference, policy, evidence, binding, selection, set()).verdict


def refused(*args, **kwargs) -> str:
    (row,) = appraised(*args, **kwargs).failed
    assert row.check == "tpm-identity"
    assert row.remedy
    return row.code


@pytest.mark.parametrize(
    "section",
    [
        "{suites: [sm2-sm3, ecc-p256-sha256]}",
        "{ek_accepted_by: [certificate]}",
        f"{{eks: ['{EK}', '{'00' * 32}']}}",
        "{manufacturers: [INTC, 'id:00001014']}",
        f"{{suites: [ecc-p256-sha256], manufacturers: ['id:00001014'], eks: ['{EK}']}}",
    ],
)
def test_tpm_that_the_policy_accepts_passes_in_a_row_of_its_own(section):
    verdict = appraised(section)
    assert verdict.trusted
    assert "tpm-identity" in [row.check for row in verdict.checks]


@pytest.mark.parametrize(
    ("section", "code"),
    [
        ("{suites: [sm2-sm3]}", "TPM_SUITE_REFUSED"),
        ("{ek_accepted_by: [inventory]}", "TPM_ACCEPTANCE_REFUSED"),
        (f"{{eks: ['{'00' * 32}']}}", "TPM_EK_REFUSED"),
        ("{manufacturers: [INTC]}", "TPM_MAKER_REFUSED"),
        (f"{{eks: ['{EK}'], manufacturers: [INTC]}}", "TPM_MAKER_REFUSED"),
    ],
)
def test_other_tpm_is_refused_by_what_is_wrong_with_it(section, code):
    assert refused(section) == code


@pytest.mark.parametrize("accepted_by", ["inventory", "", vouched("00" * 32)])
def test_certificate_that_nobody_vouched_for_names_no_maker(accepted_by):
    """A host in the inventory may have sent whatever certificate: it was never looked at."""
    section = "{manufacturers: ['id:00001014']}"
    assert refused(section, accepted_by=accepted_by) == "TPM_MAKER_UNKNOWN"


def test_host_without_a_certificate_has_no_known_maker():
    section = "{manufacturers: ['id:00001014']}"
    assert refused(section, certificate=None) == "TPM_MAKER_UNKNOWN"
    assert refused(section, certificate=b"no certificate") == "EK_CERT_UNREADABLE"


def test_record_of_a_release_that_kept_no_acceptance_is_not_taken_for_one():
    assert refused("{ek_accepted_by: [certificate, inventory]}", accepted_by="") == (
        "TPM_ACCEPTANCE_REFUSED"
    )


def test_reason_gives_no_expected_value():
    (row,) = appraised(f"{{eks: ['{'ab' * 32}']}}").failed
    assert "ab" * 32 not in row.reason + row.remedy


def test_maker_may_be_accepted_until_a_date():
    section = "{manufacturers: [INTC, {accept: 'id:00001014', until: 2026-12-01T00:00:00Z}]}"
    assert appraised(section).trusted
    assert refused(section, AFTER) == "WINDOW_CLOSED"
