# SPDX-License-Identifier: Apache-2.0
"""Rules about hosts."""

from __future__ import annotations

from oslo_policy import policy

from e2etrust_verifier.policies import base

LIST = "attestation:host:list"
SHOW = "attestation:host:show"
HISTORY = "attestation:host:history"
RESULT = "attestation:host:result"
APPROVE = "attestation:host:approve"
REVOKE = "attestation:host:revoke"
REMOVE = "attestation:host:remove"
EVIDENCE = "attestation:host:evidence"
_ACTION: list[policy.Operation] = [{"path": "/v1/hosts/{name}/action", "method": "POST"}]

RULES = [
    policy.DocumentedRuleDefault(
        LIST, base.READER, "List hosts", [{"path": "/v1/hosts", "method": "GET"}]
    ),
    policy.DocumentedRuleDefault(
        SHOW, base.READER, "Show a host", [{"path": "/v1/hosts/{name}", "method": "GET"}]
    ),
    policy.DocumentedRuleDefault(
        HISTORY,
        base.READER,
        "Show what came out of a host's appraisals",
        [{"path": "/v1/hosts/{name}/verdicts", "method": "GET"}],
    ),
    policy.DocumentedRuleDefault(
        RESULT,
        base.READER,
        "Read a host's attestation result as a signed token",
        [{"path": "/v1/hosts/{name}/result", "method": "GET"}],
    ),
    policy.DocumentedRuleDefault(
        APPROVE, base.ADMIN, "Let a held host be trusted again by its next evidence", _ACTION
    ),
    policy.DocumentedRuleDefault(
        REVOKE, base.ADMIN, "End a host's lease now and hold the host", _ACTION
    ),
    policy.DocumentedRuleDefault(
        EVIDENCE,
        base.ADMIN,
        "Read the evidence that a host sent",
        [
            {"path": "/v1/hosts/{name}/evidence", "method": "GET"},
            {"path": "/v1/hosts/{name}/evidence/{number}", "method": "GET"},
        ],
    ),
    policy.DocumentedRuleDefault(
        REMOVE,
        base.ADMIN,
        "Forget a host's keys",
        [{"path": "/v1/hosts/{name}", "method": "DELETE"}],
    ),
]
