# SPDX-License-Identifier: Apache-2.0
"""Rules about what hosts were enrolled with."""

from __future__ import annotations

from oslo_policy import policy

from e2etrust_verifier.policies import base

LIST = "attestation:enrolment:list"
SHOW = "attestation:enrolment:show"

RULES = [
    policy.DocumentedRuleDefault(
        LIST,
        base.READER,
        "List which keys hosts were enrolled with",
        [{"path": "/v1/enrolments", "method": "GET"}],
    ),
    policy.DocumentedRuleDefault(
        SHOW,
        base.READER,
        "Show which keys a host was enrolled with",
        [{"path": "/v1/enrolments/{name}", "method": "GET"}],
    ),
]
