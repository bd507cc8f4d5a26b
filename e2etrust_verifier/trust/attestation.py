# SPDX-License-Identifier: Apache-2.0
"""Attestation: challenge, appraisal, lease."""

from __future__ import annotations

import secrets
from datetime import timedelta

from sqlalchemy.orm import Session

from e2etrust_core import wire
from e2etrust_core.appraisal.model import HostPolicy
from e2etrust_core.appraisal.policy import selection_of
from e2etrust_core.launch import attest_binding
from e2etrust_core.messages import AttestRequest, AttestResult, ChallengeRequest, ImaFrom
from e2etrust_core.messages import Challenge as ChallengeMessage
from e2etrust_verifier.db import challenges, hosts
from e2etrust_verifier.db.models import Challenge, HostState
from e2etrust_verifier.trust import appraisal, current_policy, recording, standing
from e2etrust_verifier.trust.errors import HostUnknown
from e2etrust_verifier.trust.names import check_host_name
from e2etrust_verifier.trust.surroundings import Surroundings

_NONCE_SIZE = 32
#: However soon a window closes, a host attests no more often than for leases of so many seconds.
_LEAST_SECONDS = 2.0


def challenge(around: Surroundings, request: ChallengeRequest) -> ChallengeMessage:
    """Draw a nonce for one answer of that host.

    :raises HostUnknown: it is not enrolled.
    :raises PolicyMissing, PolicyError, PolicyRolledBack, PolicyAltered: nothing is known that it
        could prove.
    """
    check_host_name(request.host)
    policy = current_policy.of_host(around, request.host)
    selection = selection_of(policy)
    nonce = secrets.token_bytes(_NONCE_SIZE)

    def work(session: Session) -> Challenge:
        if hosts.find(session, request.host) is None:
            raise HostUnknown(f"host {request.host} is not enrolled")
        drawn = _drawn(around, request, nonce, hosts.state(session, request.host))
        drawn.selection = wire.to_json(selection).decode()
        drawn.policy = policy.fingerprint
        if policy.ima is None:
            drawn.ima = None
        challenges.add(session, drawn)
        return drawn

    drawn = around.db.write(work)
    lifetime = around.settings.nonce_lifetime
    ima = _ima_from(drawn, policy) if policy.ima is not None else None
    return ChallengeMessage(nonce, lifetime, selection, policy.asks_event_log, drawn.lease_id, ima)


def _ima_from(drawn: Challenge, policy: HostPolicy) -> ImaFrom:
    """What another policy accepted has to be looked at again, from the first entry on."""
    seen = standing.ima_seen(drawn.ima)
    if seen is None or seen.policy != policy.fingerprint:
        return ImaFrom()
    return ImaFrom(seen.offset, seen.reset_count)


def _drawn(
    around: Surroundings, request: ChallengeRequest, nonce: bytes, state: HostState | None
) -> Challenge:
    now = around.now()
    drawn = Challenge(
        nonce_sha256=challenges.digest(nonce),
        host=request.host,
        purpose=request.purpose,
        issued_at=now,
        expires_at=now + timedelta(seconds=around.settings.nonce_lifetime),
        used=0,
    )
    if state is not None:
        drawn.lease_id = state.lease_id if standing.has_lease(state, now) else None
        drawn.clock = state.clock
        drawn.reset_count = state.reset_count
        drawn.restart_count = state.restart_count
        drawn.ima = state.ima
    return drawn


def attest(around: Surroundings, request: AttestRequest) -> AttestResult:
    """Appraise a host's evidence; a pass is a new lease, a failure ends the one it has.

    :raises TrustError: the evidence is not this host's answer to a challenge of ours.
    """
    case = appraisal.open_case(around, request.host, request.nonce, "attest")
    qualifying = attest_binding(request.nonce, request.evidence.domains)
    found = appraisal.appraise(around, case, request.evidence, qualifying)

    def work(session: Session) -> AttestResult:
        state, checks = appraisal.settle(session, around, case, found, request.evidence)
        trusted = all(c.outcome == "pass" for c in checks)
        recording.record(session, case, found, request, around.now())
        now = around.now()
        seconds = case.policy.lease_at(now)
        # A window that closed meanwhile: what was accepted by it may not be accepted any more.
        lease = None
        if trusted and seconds > 0:
            lease = standing.grant(session, state, seconds, case.policy.level, now)
        again_in = max(seconds, _LEAST_SECONDS) / 2
        return AttestResult(trusted and lease is not None, checks, lease, again_in)

    result = around.db.write(work)
    around.changed(request.host)
    return result
