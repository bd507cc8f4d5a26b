# SPDX-License-Identifier: Apache-2.0
"""Rules about events."""

from __future__ import annotations

from oslo_policy import policy

from e2etrust_verifier.policies import base

LIST = "attestation:event:list"

RULES = [
    policy.DocumentedRuleDefault(
        LIST, base.READER, "List events", [{"path": "/v1/events", "method": "GET"}]
    ),
]
