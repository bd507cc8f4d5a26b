# SPDX-License-Identifier: Apache-2.0
"""Rules about servers."""

from __future__ import annotations

from oslo_policy import policy

from e2etrust_verifier.policies import base

SHOW = "attestation:server:show"
EVIDENCE = "attestation:server:evidence"

RULES = [
    policy.DocumentedRuleDefault(
        SHOW,
        base.OWNER,
        "Show a server's launches and refused starts",
        [{"path": "/v1/servers/{instance}", "method": "GET"}],
    ),
    policy.DocumentedRuleDefault(
        EVIDENCE,
        base.OWNER,
        "Have a server and its host quote for a nonce",
        [{"path": "/v1/servers/{instance}/evidence", "method": "POST"}],
    ),
]
