# SPDX-License-Identifier: Apache-2.0
"""One answer to one challenge: appraise it, use up the nonce, and note what came out.

Attestation and launch both stand on this; they differ in what the quote is bound to and in what
a pass is good for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy.orm import Session

from e2etrust_core import suites
from e2etrust_core.appraisal import reference
from e2etrust_core.appraisal.appraise import appraise_host
from e2etrust_core.appraisal.model import CheckResult, HostPolicy
from e2etrust_core.appraisal.policy import selection_of
from e2etrust_core.evidence.model import MAX_DOMAINS, HostEvidence, PcrSelection, RunningDomain
from e2etrust_verifier.db import answers, events, hosts, launches, verdicts
from e2etrust_verifier.db import policy_versions as versions
from e2etrust_verifier.db.group_commit import HostWork
from e2etrust_verifier.db.leases import CLOCKS_AGREE
from e2etrust_verifier.db.models import Host, HostState, Launch, PolicyVersion
from e2etrust_verifier.trust import challenges, outcomes, policy_versions, standing
from e2etrust_verifier.trust.challenges import Drawn
from e2etrust_verifier.trust.errors import EvidenceStale, HostUnknown, NonceUnknown, TrustError
from e2etrust_verifier.trust.names import check_host_name
from e2etrust_verifier.trust.surroundings import Surroundings

T = TypeVar("T")

#: A launch whose server is not among the running ones so long after its grant is over.
_GONE_AFTER = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Case:
    """A host that answers a challenge of ours in time; its nonce is not used up yet."""

    host: Host
    nonce: bytes
    challenge: Drawn
    policy: HostPolicy
    #: Launches on this host that ran, or may have, when the challenge was drawn.
    launches: list[Launch]
    #: What was applied before under the policy's name.
    applied: PolicyVersion | None

    @property
    def selection(self) -> PcrSelection:
        return selection_of(self.policy)


def open_case(around: Surroundings, host: str, nonce: bytes, purpose: str) -> Case:
    """Return what *nonce* was drawn for.

    It stays good until :func:`appraise` knows that the answer is the host's own.

    A wrong nonce changes nothing of the host: whoever can write to the message bus must not be
    able to take a host down by sending old answers again.

    :raises HostUnknown, NonceUnknown, PolicyMissing, PolicyError: nothing can be appraised.
    :raises EvidenceStale: the policy is another than when the challenge was drawn.
    """
    return outcomes.only(open_each(around, [(host, nonce)], purpose))


def open_each(
    around: Surroundings, answered: list[tuple[str, bytes]], purpose: str
) -> list[Case | Exception]:
    """Do what :func:`open_case` does for several hosts and nonces."""
    read = outcomes.of_each(lambda one: _read_nonce(around, *one, purpose), answered)
    found = outcomes.of_all(lambda some: around.db.read_each(_records, some), read)
    return outcomes.of_each(lambda one: _case(around, one), found)


@dataclass(frozen=True, slots=True)
class _Answered:
    """A nonce that came back, and what it was drawn for, if it counts; records come later."""

    host: str
    nonce: bytes
    challenge: Drawn | None
    policy: HostPolicy | None
    since: datetime
    record: Host | None = None
    launches: list[Launch] = field(default_factory=list)
    applied: PolicyVersion | None = None
    used: bool = False


def _read_nonce(around: Surroundings, host: str, nonce: bytes, purpose: str) -> _Answered:
    check_host_name(host)
    challenge, now = challenges.read(around, nonce, host, purpose), around.now()
    if challenge is None:
        return _Answered(host, nonce, None, None, now)
    policy = around.policies.policy_for(host, now)
    # The clock of a worker that noted a launch's end may be behind that of the one that drew this.
    return _Answered(host, nonce, challenge, policy, challenge.issued_at - CLOCKS_AGREE)


def _records(session: Session, asked: list[_Answered]) -> list[_Answered]:
    """Look up the hosts, and their launches that ran when the challenge was drawn or later."""
    found = hosts.find_several(session, (one.host for one in asked))
    granted = launches.of_hosts(session, [(one.host, one.since) for one in asked])
    used = answers.used(session, (one.nonce for one in asked))
    applied = versions.find_several(session, (one.policy.name for one in asked if one.policy))
    return [
        replace(
            one,
            record=found.get(one.host),
            launches=granted[n],
            applied=applied.get(one.policy.name) if one.policy else None,
            used=one.nonce in used,
        )
        for n, one in enumerate(asked)
    ]


def _case(around: Surroundings, answered: _Answered) -> Case:
    host, challenge, policy = answered.host, answered.challenge, answered.policy
    if answered.record is None:
        raise HostUnknown(f"host {host} is not enrolled")
    if challenge is None or policy is None or answered.used:
        raise _nonce_unknown(around, host)
    if challenge.policy != policy.fingerprint:
        # Answers to the old questions: neither a pass nor a failure of the new policy.  So what was
        # found to be no older policy when the challenge was drawn need not be looked up again.
        raise EvidenceStale("the host's policy changed after this challenge was drawn")
    nonce, launched, applied = answered.nonce, answered.launches, answered.applied
    return Case(answered.record, nonce, challenge, policy, launched, applied)


def appraise(
    around: Surroundings, case: Case, evidence: HostEvidence, qualifying: bytes
) -> reference.Appraisal:
    """Return the appraisal of evidence that really is of this host and this challenge.

    Only such evidence may use the nonce up (:func:`write_once`): whoever reads nonces on the
    message bus cannot spend them with evidence of his own before the host has answered.

    :raises TrustError: it is not (the code says which check tells so).  That says nothing about
        the host, so nothing about the host changes; without valid evidence its lease runs out.
    """
    found = appraise_host(
        reference_of(case),
        case.policy,
        evidence,
        qualifying,
        case.selection,
        _known_launches(case, evidence.domains),
    )
    if found.genuine:
        return found
    first = found.verdict.failed[0]
    exc = TrustError(first.reason, code=first.code, remedy=first.remedy)
    _note_refused(around, case.host.name, exc)
    raise exc


def write_once(around: Surroundings, case: Case, work: Callable[[Session], T]) -> T:
    """Use the nonce up and run *work* in the same transaction, as :meth:`.Database.write` does.

    :raises NonceUnknown: another answer was faster.
    :raises EvidenceStale: from *work*; the nonce is used up all the same.
    """
    return outcomes.only(write_once_each(around, [(case, work)]))


def write_once_each(
    around: Surroundings, group: list[tuple[Case, Callable[[Session], T]]]
) -> list[T | Exception]:
    """Do what :func:`write_once` does for several cases, in as few transactions as can be."""
    written = around.db.write_each([HostWork(c.host.name, _using(c, work)) for c, work in group])
    pairs = zip(group, written, strict=True)
    return [_told(around, case, one) for (case, _), one in pairs]


def _using(case: Case, work: Callable[[Session], T]) -> Callable[[Session], T]:
    """Return *work* with the case's nonce used up before."""

    def whole(session: Session) -> T:
        _use(session, case)
        return work(session)

    return whole


def _use(session: Session, case: Case) -> None:
    answers.use(session, case.nonce, case.challenge.expires_at)


def _told(around: Surroundings, case: Case, outcome: T | Exception) -> T | Exception:
    if isinstance(outcome, answers.NonceUsed):
        return _nonce_unknown(around, case.host.name)
    if isinstance(outcome, EvidenceStale):
        # It must not count later either, when the host has recovered.
        with contextlib.suppress(answers.NonceUsed):
            around.db.write(lambda session: _use(session, case))
    return outcome


def _nonce_unknown(around: Surroundings, host: str) -> NonceUnknown:
    exc = NonceUnknown("the nonce is unknown, was used before, ran out or is another host's")
    _note_refused(around, host, exc)
    return exc


def locked_state(session: Session, case: Case, now: datetime) -> HostState:
    """Return the host's state, held until the transaction ends.

    :raises EvidenceStale: it is not the host any more whose keys were looked at (CVE-2022-1053).
    """
    state = hosts.lock_state_of(session, case.host, now)
    if state is None:
        raise EvidenceStale("the host was removed, or enrolled anew, while this was looked at")
    return state


def settle(
    session: Session,
    around: Surroundings,
    case: Case,
    found: reference.Appraisal,
    evidence: HostEvidence,
) -> tuple[HostState, list[CheckResult], bool]:
    """Write down the verdict; a failed host loses its lease in the same transaction.

    :return: the host's state, locked until the transaction ends; all checks, with one more where
        the host is held; and whether the verdict was news.
    :raises EvidenceStale: after this challenge was drawn the host failed, booted again, was decided
        about by an operator, or was removed or enrolled anew.
    """
    now = around.now()
    state = locked_state(session, case, now)
    if found.verdict.trusted and standing.refused_since(state, case.challenge.issued_at):
        raise EvidenceStale(
            "the host failed a check, or an operator decided about it, after this challenge was"
            " drawn"
        )
    if found.verdict.trusted and standing.booted_since(state, found.clock):
        raise EvidenceStale("the host was seen to boot again after this was quoted")
    policy_versions.raise_floor(state, case.policy)
    standing.see_clock(state, found.clock, now)
    if state.policy != case.policy.name:
        state.policy = case.policy.name
        hosts.touch(session, state)
    standing.see_ima(state, found.ima if found.verdict.trusted else None)
    checks = list(found.verdict.checks)
    if not found.verdict.trusted:
        _condemn(session, case, state, checks, evidence, around)
    elif state.held:
        checks.append(standing.HELD)
    else:
        _close_gone_launches(session, case, evidence.domains, now)
    trusted = all(c.outcome == "pass" for c in checks)
    purpose, policy = case.challenge.purpose, case.policy
    news = standing.is_news(state, f"{purpose} {policy.fingerprint}", checks, now)
    if news or not trusted:  # failures in a row are counted
        verdicts.add(
            session,
            case.host.name,
            purpose,
            policy.name,
            checks,
            trusted=trusted,
            now=now,
            version=policy.version,
        )
    return state, checks, news


def reference_of(case: Case) -> reference.HostReference:
    """Return what the host's evidence is held against."""
    host, drawn = case.host, case.challenge
    seen = None
    if drawn.clock is not None:
        seen = reference.ClockSeen(drawn.clock, drawn.reset_count or 0, drawn.restart_count or 0)
    suite = suites.suite(host.suite)
    ima = standing.ima_seen(drawn.ima)
    return reference.HostReference(
        host.name,
        host.ek_public,
        host.ak_public,
        suite,
        seen,
        ima,
        host.ek_certificate,
        host.ek_accepted_by,
    )


def _known_launches(case: Case, domains: list[RunningDomain]) -> frozenset[str]:
    """Return launches that running domains may claim: of this host and of that very server.

    One that ended after the challenge was drawn still counts: it may have run when the host
    made its list.
    """
    claimed = {(d.launch, d.instance) for d in domains}
    return frozenset(row.id for row in case.launches if (row.id, row.instance) in claimed)


def _condemn(
    session: Session,
    case: Case,
    state: HostState,
    checks: list[CheckResult],
    evidence: HostEvidence,
    around: Surroundings,
) -> None:
    now, host = around.now(), case.host.name
    failed = [c for c in checks if c.outcome != "pass"]
    hold = case.policy.recovery == "operator"
    if failed != standing.failed_checks(state) or state.lease_id is not None:
        held_before = state.held
        standing.withdraw(session, state, failed, now, why="failed", hold=hold)
        told = "; ".join(f"{c.code}: {c.reason}" for c in failed)
        codes = tuple(c.code for c in failed)
        events.add(session, "host-failed", told, now=now, host=host, codes=codes)
        if state.held and not held_before:
            why = "it failed, and its policy asks for an operator"
            events.add(session, "host-held", why, now=now, host=host, codes=("HOST_HELD",))
        # Told when it is news, as the failure itself: a host that lists thousands of them writes
        # no row for each at every attestation.
        known = {(row.id, row.instance) for row in case.launches}
        for domain in evidence.domains[:MAX_DOMAINS]:
            if domain.demands_trust and (domain.launch, domain.instance) not in known:
                _note_unrecorded(session, around, host, domain)


def _note_unrecorded(
    session: Session, around: Surroundings, host: str, domain: RunningDomain
) -> None:
    message = f"server {domain.instance} ({domain.name}) runs without a launch record"
    events.add(
        session, "unrecorded-domain", message, now=around.now(), host=host, instance=domain.instance
    )


def _close_gone_launches(
    session: Session, case: Case, domains: list[RunningDomain], now: datetime
) -> None:
    """End launches whose server is gone without a word, as after a power cut.

    They end *now*: the challenge is half a minute old where it came with a lease, and the server
    may be on a list that was made since.
    """
    drawn = case.challenge.issued_at
    running = {d.instance for d in domains}
    gone = {
        row.id
        for row in case.launches
        if row.ended_at is None
        and drawn - row.granted_at > _GONE_AFTER
        and row.instance not in running
    }
    # Looked at again under this transaction: it may have ended in another way meanwhile.
    for launch in launches.of_host(session, case.host.name, drawn) if gone else ():
        if launch.id in gone and launch.ended_at is None:
            launch.state, launch.ended_at = "ended", now
            launch.reason = "the server was not running any more when the host attested"


def _note_refused(around: Surroundings, host: str, exc: TrustError) -> None:
    now, codes = around.now(), (exc.code,)
    around.db.write(
        lambda s: events.add_refused(
            s, "evidence-refused", str(exc), now=now, host=host, codes=codes
        )
    )
