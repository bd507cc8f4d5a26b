# SPDX-License-Identifier: Apache-2.0
"""Attestation: challenge, appraisal, lease, and with the lease the next challenge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from e2etrust_core.appraisal.model import HostPolicy
from e2etrust_core.appraisal.policy import selection_of
from e2etrust_core.launch import attest_binding
from e2etrust_core.messages import AttestRequest, AttestResult, ChallengeRequest, ImaFrom
from e2etrust_core.messages import Challenge as ChallengeMessage
from e2etrust_verifier.db import hosts
from e2etrust_verifier.db import policy_versions as versions
from e2etrust_verifier.db.models import HostState, PolicyVersion
from e2etrust_verifier.trust import (
    appraisal,
    challenges,
    outcomes,
    policy_versions,
    recording,
    standing,
)
from e2etrust_verifier.trust.appraisal import Case
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
    return outcomes.only(challenge_each(around, [request]))


def challenge_each(
    around: Surroundings, requests: Sequence[ChallengeRequest]
) -> list[ChallengeMessage | Exception]:
    """Do what :func:`challenge` does for several requests."""
    asked = outcomes.of_each(lambda request: _asked(around, request), requests)
    known = outcomes.of_all(lambda some: around.db.read_each(_known, some), asked)
    return outcomes.of_each(lambda one: _draw(around, one), known)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request, and what is known of its host and of the policy that it has to satisfy."""

    request: ChallengeRequest
    policy: HostPolicy
    enrolled: bool = False
    state: HostState | None = None
    applied: PolicyVersion | None = None


def _asked(around: Surroundings, request: ChallengeRequest) -> _Asked:
    check_host_name(request.host)
    return _Asked(request, around.policies.policy_for(request.host, around.now()))


def _known(session: Session, asked: list[_Asked]) -> list[_Asked]:
    states = hosts.states_of_enrolled(session, (one.request.host for one in asked))
    applied = versions.find_several(session, (one.policy.name for one in asked))
    return [
        replace(one, enrolled=True, state=states[name], applied=applied.get(one.policy.name))
        if (name := one.request.host) in states
        else one
        for one in asked
    ]


def _draw(around: Surroundings, asked: _Asked) -> ChallengeMessage:
    request, policy = asked.request, asked.policy
    if not asked.enrolled:
        raise HostUnknown(f"host {request.host} is not enrolled")
    policy_versions.admit(around.db, policy, asked.applied, around.now())
    if asked.state is not None:
        policy_versions.check_floor(policy, request.host, asked.state.policy_floor)
    asks_ima = policy.asks_ima
    nonce, drawn = challenges.draw(
        around, request.host, request.purpose, policy.fingerprint, asked.state, ima=asks_ima
    )
    return ChallengeMessage(
        nonce,
        around.settings.nonce_lifetime,
        selection_of(policy),
        policy.asks_event_log,
        drawn.lease_id,
        _ima_from(drawn, policy) if asks_ima else None,
    )


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
    return outcomes.only(attest_each(around, [request]))


def attest_each(
    around: Surroundings, requests: Sequence[AttestRequest]
) -> list[AttestResult | Exception]:
    """Do what :func:`attest` does for several hosts; none is told of before it is committed."""
    opened = appraisal.open_each(around, [(r.host, r.nonce) for r in requests], "attest")
    found = outcomes.of_each(
        lambda pair: (pair[1], _appraised(around, *pair)), outcomes.with_each(requests, opened)
    )
    settled = outcomes.of_all(lambda some: appraisal.write_once_each(around, some), found)
    for request, one in zip(requests, settled, strict=True):
        if not isinstance(one, Exception):
            around.changed(request.host)
    return outcomes.of_each(lambda one: _with_challenge(around, one), settled)


@dataclass(frozen=True, slots=True)
class _Settled:
    """What an answer came to, as it is committed."""

    result: AttestResult
    case: Case
    state: HostState


def _appraised(
    around: Surroundings, request: AttestRequest, case: Case
) -> Callable[[Session], _Settled]:
    """Appraise, and return what then has to be written."""
    qualifying = attest_binding(request.nonce, request.evidence.domains)
    found = appraisal.appraise(around, case, request.evidence, qualifying)

    def work(session: Session) -> _Settled:
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
        result = AttestResult(trusted and lease is not None, checks, lease, again_in)
        return _Settled(result, case, state)

    return work


def _with_challenge(around: Surroundings, settled: _Settled) -> AttestResult:
    """Add the host's next challenge where it is to come again before that runs out.

    It is drawn as one that was asked for, and where that would be refused there is none: the host
    asks, and hears why.
    """
    result, case = settled.result, settled.case
    if not result.trusted or result.again_in > around.settings.nonce_lifetime:
        return result
    request = ChallengeRequest(case.host.name, "attest")
    asked = _Asked(request, case.policy, True, settled.state, case.applied)
    try:
        return replace(result, challenge=_draw(around, asked))
    except Exception:
        return result  # what is committed is told, whatever became of this
