# SPDX-License-Identifier: Apache-2.0
"""Enrolment: one immutable record of host name, EK and AK, after the TPM proved to have both.

TPM 2.0 Library Part 1, 24 (credential protection): only the TPM with that EK, holding that very
AK, can answer the challenge.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import uuid
from datetime import timedelta

from oslo_db import exception as db_exc
from sqlalchemy.orm import Session

from e2etrust_core import suites
from e2etrust_core.errors import E2ETrustError
from e2etrust_core.evidence.credential import make_credential
from e2etrust_core.evidence.ek_chain import MAX_EK_CHAIN
from e2etrust_core.evidence.quote import check_ak
from e2etrust_core.evidence.tpm_structures import ek_sha256, name_of
from e2etrust_core.messages import EnrolAnswer, EnrolChallenge, EnrolRequest, EnrolResult
from e2etrust_verifier.db import enrolments, events, hosts, pins
from e2etrust_verifier.db.models import Enrolment, Host
from e2etrust_verifier.trust.endorsement import BY_INVENTORY
from e2etrust_verifier.trust.errors import (
    EkNotPinned,
    EnrolmentUnknown,
    EnrolmentWrong,
    HostKnown,
    HostUnexpected,
    TpmEnrolled,
)
from e2etrust_verifier.trust.names import check_host_name, check_uuid
from e2etrust_verifier.trust.surroundings import Surroundings

_SECRET_SIZE = 32


def begin(around: Surroundings, request: EnrolRequest) -> EnrolChallenge:
    """Answer a host's wish to enrol with a credential challenge.

    :raises HostKnown: the name belongs to other keys.
    :raises TpmEnrolled: the TPM has another name.
    :raises SuiteError, AkRefused, EkCertificateError, EkNotPinned: these keys cannot enrol.
    :raises HostUnexpected: an operator has to say first which TPM the host has.
    """
    check_host_name(request.host)
    try:
        return _begin(around, request)
    except E2ETrustError as exc:
        _note_refused(around, request, f"enrolment refused: {exc}", (exc.code,))
        raise


def _begin(around: Surroundings, request: EnrolRequest) -> EnrolChallenge:
    known = around.db.read(lambda s: hosts.find(s, request.host))
    if known is not None:
        if _same(known, request):
            return EnrolChallenge(enrolment="")
        raise HostKnown(f"host {request.host} is enrolled with other keys")
    check_ak(request.ak_public, suites.suite(request.suite))
    accepted_by = around.db.read(lambda s: _accept(s, around, request))
    secret = secrets.token_bytes(_SECRET_SIZE)
    blob, encrypted = make_credential(request.ek_public, name_of(request.ak_public), secret)
    enrolment = _pending(around, request, accepted_by, secret)
    enrolment_id = enrolment.id
    around.db.write(lambda s: enrolments.add(s, enrolment))
    return EnrolChallenge(enrolment_id, blob, encrypted)


def _pending(
    around: Surroundings, request: EnrolRequest, accepted_by: str, secret: bytes
) -> Enrolment:
    now = around.now()
    return Enrolment(
        id=str(uuid.uuid4()),
        host=request.host,
        suite=request.suite,
        ek_public=request.ek_public,
        ek_certificate=request.ek_certificate,
        # A longer one is read by nobody, and no column has to hold it.
        ek_chain=request.ek_chain[: MAX_EK_CHAIN + 1] or None,
        ek_accepted_by=accepted_by,
        ak_public=request.ak_public,
        secret_sha256=hashlib.sha256(secret).hexdigest(),
        created_at=now,
        expires_at=now + timedelta(seconds=around.settings.enrolment_lifetime),
    )


def finish(around: Surroundings, answer: EnrolAnswer) -> EnrolResult:
    """Write the host's record if the TPM opened the credential.

    :raises EnrolmentUnknown: there is no such challenge (any more).
    :raises EnrolmentWrong: the answer is wrong; the challenge is dead.
    :raises HostKnown, TpmEnrolled: another enrolment was faster.
    :raises EkCertificateError, EkNotPinned: the EK is not accepted any more.
    """
    check_uuid(answer.enrolment, "enrolment")
    now = around.now()
    pending = around.db.write(lambda s: enrolments.take(s, answer.enrolment, now))
    if pending is None:
        raise EnrolmentUnknown("there is no such enrolment, or it took too long")
    if not hmac.compare_digest(hashlib.sha256(answer.secret).hexdigest(), pending.secret_sha256):
        _note_refused(around, pending, "wrong credential answer")
        raise EnrolmentWrong("the credential was not opened")
    ak_name = name_of(pending.ak_public)
    try:
        around.db.write(lambda s: _enrol(s, around, pending, ak_name))
    except db_exc.DBDuplicateEntry:
        late = HostKnown(f"host {pending.host}, or its TPM, has been enrolled meanwhile")
        _note_refused(around, pending, f"enrolment refused: {late}", (late.code,), proved=True)
        raise late from None
    return EnrolResult(pending.host, ak_name)


def _note_refused(
    around: Surroundings,
    asked: EnrolRequest | Enrolment,
    message: str,
    codes: tuple[str, ...] = (),
    *,
    proved: bool = False,
) -> None:
    """Tell operators that this key asked for that name: it may be the machine that they mean.

    :param proved: whether the TPM has shown that it has the key.
    """
    now, key = around.now(), ek_sha256(asked.ek_public)
    told = f"{message} ({'EK SHA-256' if proved else 'claims EK SHA-256, not proved:'} {key})"
    around.db.write(
        lambda s: events.add_refused(
            s, "enrolment-refused", told, now=now, host=asked.host, codes=codes, ek_sha256=key
        )
    )


def _accept(session: Session, around: Surroundings, request: EnrolRequest | Enrolment) -> str:
    if hosts.is_enrolled(session, request.ek_public):
        raise TpmEnrolled(f"the TPM of host {request.host} is enrolled under another name")
    expected = [pin.ek_sha256 for pin in pins.of_host(session, request.host)]
    accepted_by = around.endorsement.accept(
        request.host,
        request.ek_public,
        request.ek_certificate,
        around.now(),
        expected,
        request.ek_chain or b"",
    )
    if accepted_by == BY_INVENTORY:
        return accepted_by
    if pins.is_of_another(session, request.host, ek_sha256(request.ek_public)):
        raise EkNotPinned(f"the EK that asks for the name {request.host} is expected of another")
    if around.settings.only_expected_hosts:
        raise HostUnexpected(f"no operator said which TPM host {request.host} has")
    return accepted_by


def _enrol(session: Session, around: Surroundings, pending: Enrolment, ak_name: bytes) -> None:
    now, key = around.now(), ek_sha256(pending.ek_public)
    # Once more: an operator may have said meanwhile which TPM he expects.
    _accept(session, around, pending)
    record = Host(
        name=pending.host,
        suite=pending.suite,
        ek_public=pending.ek_public,
        ek_certificate=pending.ek_certificate,
        ek_accepted_by=pending.ek_accepted_by,
        ak_public=pending.ak_public,
        ak_name=ak_name,
        enrolled_at=now,
        ek_sha256=key,
    )
    hosts.add(session, record, held=around.settings.hold_new_hosts, now=now)
    message = (
        f"enrolled with suite {pending.suite}, EK accepted by {pending.ek_accepted_by}"
        f" (EK SHA-256 {key})"
    )
    events.add(session, "host-enrolled", message, now=now, host=pending.host, ek_sha256=key)
    if around.settings.hold_new_hosts:
        why = f"a new host waits for an operator (EK SHA-256 {key})"
        events.add(session, "host-held", why, now=now, host=pending.host, codes=("HOST_HELD",))


def _same(known: Host, request: EnrolRequest) -> bool:
    return (known.suite, known.ek_public, known.ak_public) == (
        request.suite,
        request.ek_public,
        request.ak_public,
    )
