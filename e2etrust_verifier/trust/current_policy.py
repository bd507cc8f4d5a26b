# SPDX-License-Identifier: Apache-2.0
"""What a host has to prove now: a policy that matches, as it stands, and that is no older one."""

from __future__ import annotations

from e2etrust_core.appraisal.model import CheckResult, HostPolicy
from e2etrust_core.errors import E2ETrustError
from e2etrust_verifier.trust import policy_versions
from e2etrust_verifier.trust.surroundings import Surroundings

#: The check that says so.
CHECK = "policy"


def of_host(around: Surroundings, host: str) -> HostPolicy:
    """Return the host's policy.

    :raises PolicyMissing: none matches.
    :raises PolicyError: a file of the directory is malformed.
    :raises PolicyRolledBack, PolicyAltered: it was another before, and no operator said so.
    """
    now = around.now()
    policy = around.policies.policy_for(host, now)
    known = around.db.read(lambda s: policy_versions.known(s, policy))
    policy_versions.admit(around.db, policy, known, now)
    return policy


def missing(around: Surroundings, host: str) -> CheckResult | None:
    """Return why there is no policy that the host could satisfy, None where there is one."""
    try:
        of_host(around, host)
    except E2ETrustError as exc:
        return CheckResult(CHECK, "fail", exc.reason, exc.code, exc.remedy)
    return None
