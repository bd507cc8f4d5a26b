# SPDX-License-Identifier: Apache-2.0
"""Launches: fresh evidence, the image key wrapped for that TPM, and a signed record."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from e2etrust_core.appraisal.model import CheckResult
from e2etrust_core.appraisal.policy import steady_selection
from e2etrust_core.appraisal.reference import Appraisal
from e2etrust_core.errors import E2ETrustError, InputError
from e2etrust_core.evidence.key_wrap import wrap_for_host
from e2etrust_core.launch import LaunchRequest, launch_binding
from e2etrust_core.messages import (
    LaunchAsk,
    LaunchGrant,
    LaunchRecord,
    LaunchUpdate,
    LeaseGrant,
    Nothing,
    RefusalReport,
    WrappedKey,
)
from e2etrust_core.one_line import printable
from e2etrust_core.trust_names import HIGHEST_LEVEL, NOTHING
from e2etrust_verifier.db import events, launches, refusals
from e2etrust_verifier.db.models import HostState, Launch, Refusal
from e2etrust_verifier.trust import appraisal, names, reports, standing
from e2etrust_verifier.trust.appraisal import Case
from e2etrust_verifier.trust.errors import (
    HostHeld,
    LaunchUnknown,
    LeaseChanged,
    LeaseNone,
    LevelTooLow,
    TrustError,
)
from e2etrust_verifier.trust.surroundings import Surroundings

_TEXT = 255
#: The same refusal told twice within this time is one: the verifier's, and the host's word of it.
_SAME_REFUSAL = timedelta(seconds=60)


def launch(around: Surroundings, ask: LaunchAsk) -> LaunchGrant:
    """Let a server start on a host that proves itself now.

    Until the evidence is known to be the host's own this may be anybody's word: of a refusal before
    that nothing is kept for the tenant but what the host itself reports.

    :raises E2ETrustError: refused; the tenant can read why.
    """
    names.check_host_name(ask.host)
    _check_request(ask.request)
    case = appraisal.open_case(around, ask.host, ask.nonce, "launch")
    qualifying = launch_binding(ask.nonce, ask.request, ask.evidence.domains)
    found = appraisal.appraise(around, case, ask.evidence, qualifying)
    try:
        return _launch(around, case, found, ask)
    except E2ETrustError as exc:
        request = ask.request
        _store_refusal(around, ask.host, request.instance, request.project, "verifier", exc)
        raise


def _launch(around: Surroundings, case: Case, found: Appraisal, ask: LaunchAsk) -> LaunchGrant:
    _settle(around, case, found, ask)
    if case.challenge.lease_id is None:
        raise LeaseNone(f"host {ask.host} has no lease")
    if ask.request.measurement.lease != case.challenge.lease_id:
        raise LeaseChanged("the launch is measured under another lease than the challenge named")
    _check_level(case, ask.request)
    wrapped = _wrapped_key(around, case, found, ask.request)
    return around.db.write(lambda s: _grant(s, around, case, ask, wrapped))


def _settle(around: Surroundings, case: Case, found: Appraisal, ask: LaunchAsk) -> None:
    """Write the verdict down.  Raises TrustError where it is not a pass."""

    def work(session: Session) -> list[CheckResult]:
        return appraisal.settle(session, around, case, found, ask.evidence)[1]

    checks = appraisal.write_once(around, case, work)
    failed = [c for c in checks if c.outcome != "pass"]
    if failed:
        around.changed(ask.host)
        first = failed[0]
        raise TrustError(first.reason, code=first.code, remedy=first.remedy)


def _check_level(case: Case, request: LaunchRequest) -> None:
    """The policy that the host has just satisfied decides, and not an older lease."""
    if request.level > case.policy.level:
        raise LevelTooLow(f"server demands trust of level {request.level}, host has less")


def _wrapped_key(
    around: Surroundings, case: Case, found: Appraisal, request: LaunchRequest
) -> WrappedKey | None:
    if request.key_id is None or found.facts is None:
        return None
    key = around.keys.image_key(request.key_id, request.project)
    selection = steady_selection(case.policy)
    return wrap_for_host(case.host.ek_public, key, selection, found.facts.pcrs)


def _grant(
    session: Session,
    around: Surroundings,
    case: Case,
    ask: LaunchAsk,
    wrapped: WrappedKey | None,
) -> LaunchGrant:
    """Write the launch down, if the host is still leased now that its key was fetched."""
    now = around.now()
    state = appraisal.locked_state(session, case, now)
    if state.held:
        raise HostHeld(f"host {ask.host} is held")
    if not standing.has_lease(state, now):
        raise LeaseNone(f"host {ask.host} has no lease")
    record = _record(around, case, ask, state, now)
    signed = around.signer.sign(record)
    launches.add(session, _row(record, signed, now))
    told = f"launch {record.jti} granted"
    events.add(
        session, "launch-granted", told, now=now, host=ask.host, instance=ask.request.instance
    )
    return LaunchGrant(record.jti, signed, wrapped)


def _record(
    around: Surroundings, case: Case, ask: LaunchAsk, state: HostState, now: datetime
) -> LaunchRecord:
    seconds = standing.seconds_left(state, now)
    lease = LeaseGrant(ask.request.measurement.lease, seconds, case.policy.level)
    return LaunchRecord(
        iss=around.settings.issuer,
        iat=int(now.timestamp()),
        jti=str(uuid.uuid4()),
        host=ask.host,
        host_ek_public=case.host.ek_public,
        host_ak_public=case.host.ak_public,
        nonce=ask.nonce,
        # The IMA list is the verifier's to appraise, and may be long.
        evidence=replace(ask.evidence, ima=None, ima_from=0),
        request=ask.request,
        lease=lease,
        policy=case.policy.name,
    )


def _row(record: LaunchRecord, signed: str, now: datetime) -> Launch:
    request = record.request
    return Launch(
        id=record.jti,
        instance=request.instance,
        project=request.project,
        host=record.host,
        name=request.name,
        image=request.image,
        flavor=request.flavor,
        key_id=request.key_id,
        lease_id=record.lease.id,
        state="granted",
        reason="",
        record=signed,
        granted_at=now,
    )


def update(around: Surroundings, change: LaunchUpdate) -> Nothing:
    """Note that a launch went on.  An ended launch stays ended.

    :raises TrustError, QuoteError: it is not that host's own word (:func:`.reports.check_proof`).
    :raises LaunchUnknown: that host has no such launch.
    """
    reports.check_proof(around, "launch_update", change)
    now = around.now()

    def work(session: Session) -> None:
        row = launches.find(session, change.launch)
        if row is None or row.host != change.host:
            raise LaunchUnknown("that host has no such launch")
        if row.ended_at is not None:
            return
        row.state, row.reason = change.state, printable(change.reason)
        if change.state != "started":
            row.ended_at = now

    around.db.write(work)
    return Nothing()


def report_refusal(around: Surroundings, report: RefusalReport) -> Nothing:
    """Keep a host's own refusal for the tenant to read.

    :raises TrustError, QuoteError: it is not that host's own word (:func:`.reports.check_proof`).
    :raises InputError: a field is not of its shape.
    """
    reports.check_proof(around, "report_refusal", report)
    names.check_uuid(report.instance, "instance")
    names.check_id(report.project, "project")
    names.check_code(report.refusal.code)
    told = report.refusal
    exc = TrustError(told.reason, code=told.code, remedy=told.remedy)
    at = _moment(report.at, around.now())
    _store_refusal(around, report.host, report.instance, report.project, "host", exc, at)
    return Nothing()


def _store_refusal(
    around: Surroundings,
    host: str,
    instance: str,
    project: str | None,
    told_by: str,
    exc: E2ETrustError,
    at: datetime | None = None,
) -> None:
    now = around.now()

    def work(session: Session) -> None:
        row = Refusal(
            instance=instance,
            project=project or launches.project_of(session, instance),
            host=host,
            told_by=told_by,
            code=exc.code,
            reason=printable(exc.reason),
            remedy=printable(exc.remedy),
            at=at or now,
        )
        if any(_same(row, other) for other in refusals.of_instance(session, instance)):
            return
        refusals.add(session, row, around.settings.refusals_kept)
        events.add(
            session,
            "launch-refused",
            str(exc),
            now=now,
            host=host,
            instance=instance,
            codes=(exc.code,),
        )

    around.db.write(work)


def _same(one: Refusal, other: Refusal) -> bool:
    alike = (one.host, one.code, one.reason) == (other.host, other.code, other.reason)
    twice_told = one.told_by != other.told_by and abs(one.at - other.at) < _SAME_REFUSAL
    return alike and (twice_told or one.at == other.at)


def _moment(seconds: float, now: datetime) -> datetime:
    """Return the host's time; ours where its clock is out of reason."""
    try:
        at = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return now
    return at if now - timedelta(days=30) < at < now else now


def _check_request(request: LaunchRequest) -> None:
    """Raise InputError unless every field fits its column and cannot break a log line."""
    names.check_uuid(request.instance, "instance")
    for value, what in (
        (request.project, "project"),
        (request.image, "image"),
        (request.key_id, "key_id"),
        (request.measurement.lease, "lease"),
    ):
        names.check_id(value, what)
    for text, what in ((request.name, "name"), (request.flavor or "", "flavor")):
        if len(text) > _TEXT or not text.isprintable():
            raise InputError(f"{what} is too long or holds control characters")
    if not NOTHING <= request.level <= HIGHEST_LEVEL:
        raise InputError("the least level is a number from 0 to 9")
