# SPDX-License-Identifier: Apache-2.0
"""Rows of many kinds and ages, for what deletes history."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from e2etrust_core.appraisal.model import CheckResult
from e2etrust_verifier.db import leases, refusals, verdicts
from e2etrust_verifier.db.models import (
    Enrolment,
    Event,
    Evidence,
    Host,
    HostState,
    Launch,
    Refusal,
)

NOW = datetime.now(UTC)
OLD, NEW = NOW - timedelta(days=40), NOW - timedelta(days=2)
_PASS = CheckResult("clock", "pass", "it went on")
_FAIL = CheckResult("pcr-policy", "fail", "other", "PCR_MISMATCH")


def fill(session: Session) -> None:
    """Enrol a good host and one that fails; one is removed.  All have a past."""
    for name, failed in (("good", "[]"), ("red", '["..."]')):
        session.add(_host(name))
        session.add(HostState(host=name, generation=1, held=False, since=OLD, failed=failed))
    for name in ("good", "red", "gone"):
        for number in range(3):
            at = OLD + timedelta(hours=number)
            checks, trusted = ([_FAIL], False) if name == "red" else ([_PASS, _PASS], True)
            verdicts.add(session, name, "attest", "p", checks, trusted=trusted, now=at)
            session.flush()  # in the order of time
            session.add(_evidence(name, at))
            session.flush()
    for at in (OLD, NEW):
        session.add(Event(at=at, kind="host-failed", host="red", message="m"))
        session.add(_enrolment(at))
        refusals.add(session, _refusal(at), 50)
        leases.add(session, f"lease-{at.day}", "good", at, at)
        leases.end(session, f"lease-{at.day}", "renewed", at)
        session.add(_launch(f"ended-{at.day}", "ended", at))
        session.add(_launch(f"started-{at.day}", "started", None))


def _host(name: str) -> Host:
    keys: dict[str, Any] = {"ek_public": b"e", "ek_accepted_by": "b", "ak_public": b"a"}
    return Host(name=name, suite="s", ak_name=b"n", enrolled_at=OLD, ek_certificate=None, **keys)


def _evidence(host: str, at: datetime) -> Evidence:
    what = {"policy": "p", "fingerprint": "f", "trusted": True, "failed": "[]"}
    return Evidence(host=host, at=at, record="{}", **what)


def _enrolment(at: datetime) -> Enrolment:
    keys: dict[str, Any] = {"ek_public": b"e", "ek_accepted_by": "b", "ak_public": b"a"}
    more = {"suite": "s", "secret_sha256": "0", "created_at": at, "expires_at": at}
    return Enrolment(id=f"enrolment-{at.day}", host="good", ek_certificate=None, **keys, **more)


def _refusal(at: datetime) -> Refusal:
    said = {"told_by": "host", "code": "LEASE_NONE", "reason": "r", "remedy": "d"}
    return Refusal(instance="i", project=None, host="good", at=at, **said)


def _launch(name: str, state: str, ended: datetime | None) -> Launch:
    of = {"instance": "i", "project": None, "host": "good", "name": "vm", "lease_id": "l"}
    return Launch(id=name, state=state, reason="", record="r", granted_at=OLD, ended_at=ended, **of)
