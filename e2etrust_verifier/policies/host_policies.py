# SPDX-License-Identifier: Apache-2.0
"""Rules about host policies."""

from __future__ import annotations

from oslo_policy import policy

from e2etrust_verifier.policies import base

LIST = "attestation:policy:list"
SHOW = "attestation:policy:show"

RULES = [
    policy.DocumentedRuleDefault(
        LIST,
        base.READER,
        "List host policies and whether they count",
        [{"path": "/v1/policies", "method": "GET"}],
    ),
    policy.DocumentedRuleDefault(
        SHOW,
        base.READER,
        "Show a host policy, without the values that it accepts",
        [{"path": "/v1/policies/{name}", "method": "GET"}],
    ),
]
