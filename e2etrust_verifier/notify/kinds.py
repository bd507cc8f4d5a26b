# SPDX-License-Identifier: Apache-2.0
"""Which event is told under which type, and how urgent it is."""

from __future__ import annotations

from dataclasses import dataclass

from e2etrust_verifier.notify.notice import Priority

PREFIX = "e2etrust."


@dataclass(frozen=True, slots=True)
class Kind:
    type: str
    priority: Priority


#: Event kind (:mod:`e2etrust_verifier.db.events`) -> what it is told as.
KINDS = {
    "host-enrolled": Kind("host.enrolled", "info"),
    "host-trusted": Kind("host.trusted", "info"),
    "host-failed": Kind("host.untrusted", "error"),
    "host-held": Kind("host.held", "error"),
    "host-approved": Kind("host.approved", "info"),
    "host-revoked": Kind("host.revoked", "warn"),
    "host-removed": Kind("host.removed", "warn"),
    "host-expected": Kind("host.expected", "info"),
    "host-unexpected": Kind("host.unexpected", "info"),
    "policy-applied": Kind("policy.applied", "info"),
    "policy-accepted": Kind("policy.accepted", "warn"),
    "lease-expired": Kind("lease.expired", "error"),
    "launch-granted": Kind("launch.granted", "info"),
    "launch-refused": Kind("launch.refused", "warn"),
    "unrecorded-domain": Kind("server.unrecorded", "error"),
    "evidence-refused": Kind("evidence.refused", "warn"),
    "enrolment-refused": Kind("enrolment.refused", "warn"),
    "report-refused": Kind("report.refused", "warn"),
    "outbox-dropped": Kind("outbox.dropped", "error"),
    "delivery-failed": Kind("delivery.failed", "error"),
    "service-disabled": Kind("service.disabled", "warn"),
    "service-enabled": Kind("service.enabled", "info"),
    "service-evacuated": Kind("service.evacuated", "warn"),
    "revocation-failed": Kind("revocation.failed", "error"),
    "revocation-braked": Kind("revocation.braked", "error"),
    "revocation-released": Kind("revocation.released", "info"),
    "revocation-overruled": Kind("revocation.overruled", "warn"),
}


def kind(name: str) -> Kind:
    """Return what event kind *name* is told as; one of another release goes by its own name."""
    known = KINDS.get(name) or Kind(f"event.{name.replace('-', '_')}", "info")
    return Kind(PREFIX + known.type, known.priority)
