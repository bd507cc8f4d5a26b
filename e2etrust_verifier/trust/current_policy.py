# SPDX-License-Identifier: Apache-2.0
"""What a host has to prove now: a policy that matches, as it stands, and that is no older one."""

from __future__ import annotations

from collections.abc import Mapping

from e2etrust_core.appraisal.model import CheckResult, HostPolicy
from e2etrust_core.errors import E2ETrustError
from e2etrust_verifier.trust import policy_versions
from e2etrust_verifier.trust.errors import PolicyRolledBack
from e2etrust_verifier.trust.surroundings import Surroundings

#: The check that says so.
CHECK = "policy"


def missing(around: Surroundings, floors: Mapping[str, int | None]) -> dict[str, CheckResult]:
    """Return why there is no policy that a host could satisfy, for those that have none.

    Each policy is looked up once, however many hosts it is for.

    :param floors: by host the highest version of any policy that it was judged by.
    """
    why: dict[str, CheckResult] = {}
    looked_at: dict[str, CheckResult | None] = {}
    for host, floor in floors.items():
        try:
            policy = around.policies.policy_for(host, around.now())
        except E2ETrustError as exc:
            why[host] = _failed(exc)
            continue
        if policy.fingerprint not in looked_at:
            looked_at[policy.fingerprint] = _refused(around, policy)
        refused = looked_at[policy.fingerprint] or _behind(policy, host, floor)
        if refused is not None:
            why[host] = refused
    return why


def _behind(policy: HostPolicy, host: str, floor: int | None) -> CheckResult | None:
    try:
        policy_versions.check_floor(policy, host, floor)
    except PolicyRolledBack as exc:
        return _failed(exc)
    return None


def _refused(around: Surroundings, policy: HostPolicy) -> CheckResult | None:
    known = around.db.read(lambda s: policy_versions.known(s, policy))
    try:
        policy_versions.admit(around.db, policy, known, around.now())
    except E2ETrustError as exc:
        return _failed(exc)
    return None


def _failed(exc: E2ETrustError) -> CheckResult:
    return CheckResult(CHECK, "fail", exc.reason, exc.code, exc.remedy)
