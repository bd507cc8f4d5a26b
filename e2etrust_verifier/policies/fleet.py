# SPDX-License-Identifier: Apache-2.0
"""Rules about the fleet as a whole."""

from __future__ import annotations

from oslo_policy import policy

from e2etrust_verifier.policies import base

SUMMARY = "attestation:fleet:summary"

RULES = [
    policy.DocumentedRuleDefault(
        SUMMARY,
        base.READER,
        "Count hosts by how they stand",
        [{"path": "/v1/summary", "method": "GET"}],
    ),
]
