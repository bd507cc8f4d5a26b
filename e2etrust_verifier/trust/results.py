# SPDX-License-Identifier: Apache-2.0
"""A host's attestation result as a signed token (EAR)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from oslo_config import cfg
from sqlalchemy.orm import Session

from e2etrust_core import suites
from e2etrust_core.appraisal.model import CheckResult
from e2etrust_core.appraisal.result_token import ResultOfHost, Status, result_claims
from e2etrust_verifier.db import hosts, verdicts
from e2etrust_verifier.db.models import Host, HostState
from e2etrust_verifier.trust import records, sm2_records, standing

#: What says that a host is not trusted is good for so long.
_SHORT = timedelta(seconds=60)
_KIND = "eat+jwt"
_LOOKED_BACK = 1000
_STATUS: dict[standing.StandingWord, Status] = {
    "trusted": "affirming",
    "untrusted": "contraindicated",
    "held": "contraindicated",
    "unknown": "none",
}
#: What an EK's acceptance begins with where a maker's certificate vouched for it.
_BY_CERTIFICATE = "certificate"


class ClaimsSigner(Protocol):
    def sign_claims(self, claims: dict[str, Any], kind: str) -> str:
        """Return *claims* as JWS (compact form)."""


@dataclass(frozen=True, slots=True)
class ResultIssuer:
    """Signs results: ``sm2`` those of hosts with an SM2 key, ``usual`` all others.

    Both are asked for a signer at each result, so that a key that was changed counts at once.
    """

    name: str
    usual: Callable[[], ClaimsSigner]
    sm2: Callable[[], ClaimsSigner] | None = None

    def issue(self, host: Host, result: ResultOfHost) -> str:
        """Return *result* as a signed token.

        :raises SigningKeyError: the key cannot be used.
        """
        suite = suites.SUITES.get(host.suite)
        chinese = suite is not None and suite.scheme == suites.TPM_ALG_SM2
        signer = self.sm2 if self.sm2 is not None and chinese else self.usual
        claims = result_claims(result, self.name, f"e2etrust {version('e2etrust')}")
        return signer().sign_claims(claims, _KIND)


def issuer(conf: cfg.ConfigOpts) -> ResultIssuer:
    chosen = conf.verifier
    sm2 = None
    if chosen.sm2_signing_key:
        sm2 = lambda: sm2_records.load_signer(Path(chosen.sm2_signing_key))  # noqa: E731
    return ResultIssuer(chosen.issuer, lambda: records.load_signer(Path(chosen.signing_key)), sm2)


def result_of(session: Session, host: Host, now: datetime) -> ResultOfHost:
    """Return what is known of *host*; affirming no longer than its lease lasts."""
    state = hosts.state(session, host.name)
    last = verdicts.last(session, host.name)
    status = _STATUS[standing.word(state, now)]
    ends = now + _SHORT
    if status == "affirming" and state is not None and state.lease_expires_at is not None:
        ends = state.lease_expires_at
    return ResultOfHost(
        host=host.name,
        status=status,
        issued_at=int(now.timestamp()),
        expires_at=int(ends.timestamp()),
        policies=[last.policy] if last is not None and status != "none" else [],
        checks=current_checks(session, host.name, state),
        since=state.since.isoformat() if state is not None else None,
        genuine_tpm=host.ek_accepted_by.startswith(_BY_CERTIFICATE),
    )


def current_checks(session: Session, name: str, state: HostState | None) -> list[CheckResult]:
    """Return all checks of the last appraisal, or why the host stands otherwise than that."""
    failed = standing.failed_checks(state) if state is not None else []
    checks = verdicts.results(verdicts.last(session, name))
    if not failed or failed == [check for check in checks if check.outcome != "pass"]:
        return checks
    return failed


def failing_since(
    session: Session, name: str, state: HostState | None, checks: Sequence[CheckResult]
) -> dict[str, datetime]:
    """Return since when each check that fails does, as far back as verdicts are kept."""
    failing = [check.check for check in checks if check.outcome != "pass"]
    if not failing:
        return {}
    since: dict[str, datetime] = {}
    open_ = set(failing)
    for verdict in verdicts.page(session, name, None, _LOOKED_BACK):
        failed = {check.name for check in verdict.checks if check.outcome != "pass"}
        open_ &= failed
        if not open_:
            break
        since.update(dict.fromkeys(open_, verdict.at))
    # What no appraisal said is as old as the host's standing: an operator's word, a lost lease.
    if state is not None:
        since |= {one: state.since for one in failing if one not in since}
    return since
