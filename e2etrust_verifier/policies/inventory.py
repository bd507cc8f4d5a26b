# SPDX-License-Identifier: Apache-2.0
"""Rules about which TPM is expected of which host."""

from __future__ import annotations

from oslo_policy import policy

from e2etrust_verifier.policies import base

LIST = "attestation:inventory:list"
SHOW = "attestation:inventory:show"
PUT = "attestation:inventory:put"
REMOVE = "attestation:inventory:remove"

RULES = [
    policy.DocumentedRuleDefault(
        LIST,
        base.READER,
        "List which endorsement keys are expected of which hosts",
        [{"path": "/v1/inventory", "method": "GET"}],
    ),
    policy.DocumentedRuleDefault(
        SHOW,
        base.READER,
        "Show which endorsement keys are expected of a host",
        [{"path": "/v1/inventory/{name}", "method": "GET"}],
    ),
    policy.DocumentedRuleDefault(
        PUT,
        base.ADMIN,
        "Say which endorsement keys a host may enrol with",
        [{"path": "/v1/inventory/{name}", "method": "PUT"}],
    ),
    policy.DocumentedRuleDefault(
        REMOVE,
        base.ADMIN,
        "Expect no particular endorsement key of a host any more",
        [{"path": "/v1/inventory/{name}", "method": "DELETE"}],
    ),
]
