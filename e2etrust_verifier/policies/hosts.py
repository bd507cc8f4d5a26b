# SPDX-License-Identifier: Apache-2.0
"""Rules about hosts."""

from __future__ import annotations

from oslo_policy import policy

from e2etrust_verifier.policies import base

LIST = "attestation:host:list"
SHOW = "attestation:host:show"

RULES = [
    policy.DocumentedRuleDefault(
        LIST, base.READER, "List hosts", [{"path": "/v1/hosts", "method": "GET"}]
    ),
    policy.DocumentedRuleDefault(
        SHOW, base.READER, "Show a host", [{"path": "/v1/hosts/{name}", "method": "GET"}]
    ),
]
