# SPDX-License-Identifier: Apache-2.0
"""EK templates against the definitions that TCG's EK Credential Profile gives of their parts."""

from __future__ import annotations

import hashlib
from typing import get_args

import pytest

from e2etrust_core.evidence.tpm_bytes import sized, uint
from e2etrust_core.evidence.tpm_structures import decode_public
from e2etrust_core.suites import HASHES
from e2etrust_core.tpm.ek_templates import EK_TEMPLATES, EkKind

TPM_CC_POLICY_SECRET, TPM_CC_POLICY_OR, TPM_CC_POLICY_AUTHORIZE_NV = 0x151, 0x171, 0x192
TPM_RH_ENDORSEMENT = 0x4000000B
#: Where the owner may put a policy of his own, by hash (B.6), and the attributes it then has.
OWNERS_INDEX = {"sha256": 0x01C07F01, "sha384": 0x01C07F02, "sm3_256": 0x01C07F04}
OWNERS_ATTRIBUTES = 0x220F1008


def policy_a(name: str) -> bytes:
    def digest(data: bytes) -> bytes:
        return hashlib.new(HASHES[name].hashlib_name, data).digest()

    secret = uint(TPM_CC_POLICY_SECRET, 4) + uint(TPM_RH_ENDORSEMENT, 4)
    return digest(digest(bytes(HASHES[name].size) + secret))


def policy_b(name: str) -> bytes:
    kind = HASHES[name]

    def digest(data: bytes) -> bytes:
        return hashlib.new(kind.hashlib_name, data).digest()

    area = uint(OWNERS_INDEX[name], 4) + uint(kind.alg_id, 2) + uint(OWNERS_ATTRIBUTES, 4)
    area += sized(policy_a(name)) + uint(kind.size + 2, 2)
    index_name = uint(kind.alg_id, 2) + digest(area)
    start = bytes(kind.size)
    policy_c = digest(start + uint(TPM_CC_POLICY_AUTHORIZE_NV, 4) + index_name)
    return digest(start + uint(TPM_CC_POLICY_OR, 4) + policy_a(name) + policy_c)


@pytest.mark.parametrize("kind", get_args(EkKind))
def test_template_has_the_policy_of_its_range_and_hash(kind):
    found = decode_public(EK_TEMPLATES[kind].public)
    high = found.attributes == 0x000300F2
    assert high or found.attributes == 0x000300B2
    assert high == EK_TEMPLATES[kind].by_value
    name = found.name_hash.name
    assert found.auth_policy == (policy_b(name) if high else policy_a(name))


def test_policy_b_of_sha256_is_as_the_profile_prints_it():
    """The derivation above, held against a digest that no kind here uses."""
    assert policy_b("sha256").hex() == (
        "ca3d0a99a2b93906f7a3342414efcfb3a385d44cd1fd459089d19b5071c0b7a0"
    )
