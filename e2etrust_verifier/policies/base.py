# SPDX-License-Identifier: Apache-2.0
"""Rules that others are made of."""

from __future__ import annotations

from oslo_policy import policy

READER = "rule:attestation_reader"
OWNER = "rule:attestation_owner"
ADMIN = "rule:attestation_admin"

RULES = [
    policy.RuleDefault(
        "attestation_reader",
        "role:admin or (role:reader and system_scope:all)",
        "Operators: administrators, and readers of the whole system",
    ),
    policy.RuleDefault(
        "attestation_admin", "role:admin", "Who decides about hosts: administrators"
    ),
    policy.RuleDefault(
        "attestation_owner",
        "rule:attestation_reader or project_id:%(project_id)s",
        "The project that a server belongs to, and operators",
    ),
]
