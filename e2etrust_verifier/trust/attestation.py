# SPDX-License-Identifier: Apache-2.0
"""Attestation: challenge, appraisal, lease."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from e2etrust_core.appraisal.model import HostPolicy
from e2etrust_core.appraisal.policy import selection_of
from e2etrust_core.launch import attest_binding
from e2etrust_core.messages import AttestRequest, AttestResult, ChallengeRequest, ImaFrom
from e2etrust_core.messages import Challenge as ChallengeMessage
from e2etrust_verifier.db import hosts
from e2etrust_verifier.db import policy_versions as versions
from e2etrust_verifier.db.models import HostState, PolicyVersion
from e2etrust_verifier.trust import appraisal, challenges, policy_versions, recording, standing
from e2etrust_verifier.trust.challenges import Drawn
from e2etrust_verifier.trust.errors import HostUnknown
from e2etrust_verifier.trust.names import check_host_name
from e2etrust_verifier.trust.surroundings import Surroundings

#: However soon a window closes, a host attests no more often than for leases of so many seconds.
_LEAST_SECONDS = 2.0


def challenge(around: Surroundings, request: ChallengeRequest) -> ChallengeMessage:
    """Draw a nonce for one answer of that host.

    :raises HostUnknown: it is not enrolled.
    :raises PolicyMissing, PolicyError, PolicyRolledBack, PolicyAltered: nothing is known that it
        could prove.
    """
    check_host_name(request.host)
    policy = around.policies.policy_for(request.host, around.now())
    known = around.db.find(_known, (request.host, policy.name))
    if not known.enrolled:
        raise HostUnknown(f"host {request.host} is not enrolled")
    state = known.state
    policy_versions.admit(around.db, policy, known.applied, around.now())
    if state is not None:
        policy_versions.check_floor(policy, request.host, state.policy_floor)
    asks_ima = policy.asks_ima
    nonce, drawn = challenges.draw(
        around, request.host, request.purpose, policy.fingerprint, state, ima=asks_ima
    )
    return ChallengeMessage(
        nonce,
        around.settings.nonce_lifetime,
        selection_of(policy),
        policy.asks_event_log,
        drawn.lease_id,
        _ima_from(drawn, policy) if asks_ima else None,
    )


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a host, and of the policy that it has to satisfy."""

    enrolled: bool
    state: HostState | None
    applied: PolicyVersion | None


def _known(session: Session, asked: list[tuple[str, str]]) -> list[_Known]:
    """Look up names of hosts and of their policies."""
    states = hosts.states_of_enrolled(session, (host for host, _ in asked))
    applied = versions.find_several(session, (policy for _, policy in asked))
    return [_Known(h in states, states.get(h), applied.get(p)) for h, p in asked]


def _ima_from(drawn: Drawn, policy: HostPolicy) -> ImaFrom:
    """What another policy accepted has to be looked at again, from the first entry on."""
    seen = standing.ima_seen(drawn.ima)
    if seen is None or seen.policy != policy.fingerprint:
        return ImaFrom()
    return ImaFrom(seen.offset, seen.reset_count)


def attest(around: Surroundings, request: AttestRequest) -> AttestResult:
    """Appraise a host's evidence; a pass is a new lease, a failure ends the one it has.

    :raises TrustError: the evidence is not this host's answer to a challenge of ours.
    """
    case = appraisal.open_case(around, request.host, request.nonce, "attest")
    qualifying = attest_binding(request.nonce, request.evidence.domains)
    found = appraisal.appraise(around, case, request.evidence, qualifying)

    def work(session: Session) -> AttestResult:
        state, checks, news = appraisal.settle(session, around, case, found, request.evidence)
        trusted = all(c.outcome == "pass" for c in checks)
        now = around.now()
        state.pins_verifier = request.pins_verifier
        if news:
            recording.record(session, case, found, request, now)
        seconds = case.policy.lease_at(now)
        # A window that closed meanwhile: what was accepted by it may not be accepted any more.
        lease = None
        if trusted and seconds > 0:
            lease = standing.grant(session, state, seconds, case.policy.level, now)
        again_in = max(seconds, _LEAST_SECONDS) / 2
        return AttestResult(trusted and lease is not None, checks, lease, again_in)

    result = appraisal.write_once(around, case, work)
    around.changed(request.host)
    return result
