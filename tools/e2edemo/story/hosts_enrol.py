# SPDX-License-Identifier: Apache-2.0
"""Two hosts enrol and attest; both are leased."""

from __future__ import annotations

from e2edemo.chapter import Evidence, claim
from e2edemo.stage import HOSTS, Stage


def tell(stage: Stage) -> Evidence:
    evidence: Evidence = {}
    for name in HOSTS:
        host = stage.wait_trusted(name)
        claim(host.checks, f"{name} is trusted without a single check")
        stage.wait_trait(name, there=True)
        evidence[name] = {
            "state": host.state,
            "lease_seconds": round(host.lease_seconds, 1),
            "reset_count": host.reset_count,
            "checks": [f"{c.check}: {c.outcome}" for c in host.checks],
        }
        stage.say(name, f"leased for {host.lease_seconds:.0f} s, {len(host.checks)} checks passed")
    return evidence
