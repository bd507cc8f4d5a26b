# SPDX-License-Identifier: Apache-2.0
"""``/v1/hosts``: who is trusted now, why not, since when, and what an operator decides about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import get_args

import falcon
import sqlalchemy as sa
from sqlalchemy.orm import Session

from e2etrust_core import wire
from e2etrust_core.errors import InputError
from e2etrust_core.trust_names import (
    HIGHEST_LEVEL,
    LEVEL_TRAITS,
    LOWEST_LEVEL,
    NOTHING,
    TRUSTED_TRAIT,
    level_of_trait,
)
from e2etrust_verifier.api import answers, paging
from e2etrust_verifier.api.access import Access, caller
from e2etrust_verifier.api.caching import fleet_tag, is_known
from e2etrust_verifier.api.errors import Conflict, NotFound
from e2etrust_verifier.db import hosts, verdicts
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.db.models import HostState, Verdict
from e2etrust_verifier.policies import hosts as rules
from e2etrust_verifier.trust import operator, results, standing
from e2etrust_verifier.trust.errors import HostOther, HostUnknown

_MAX_ACTION = 4096
LONGEST_NAME = 255


@dataclass(frozen=True)
class Hosts:
    """``?state=`` of :data:`.standing.StandingWord`, one or more of them with commas between,
    ``?name=`` (a part of it, or a pattern), ``?min_level=`` (of the lease), ``?trait=`` (of ours,
    in Placement), ``?policy=`` (by which it was appraised last), ``?code=`` (of the check that it
    failed first), ``?limit=`` and ``?marker=`` (a name)."""

    database: Database
    access: Access

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        self.access.require(req, rules.LIST)
        now = datetime.now(UTC)
        limit, after = paging.limit(req), req.get_param("marker")
        where = _conditions(req, now)
        tag = self.database.read(lambda s: fleet_tag(s, now))
        if tag is not None and is_known(req, resp, tag):
            return
        found = self.database.read(lambda s: hosts.page_of_states(s, after, limit, *where))
        more = paging.next_link(req, found[-1].host) if len(found) == limit else []
        listed = [_brief(state.host, state, now) for state in found]
        resp.media = wire.to_dict(answers.Hosts(listed, more))


@dataclass(frozen=True)
class Host:
    database: Database
    access: Access

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        self.access.require(req, rules.SHOW)
        now = datetime.now(UTC)

        def work(session: Session) -> tuple[answers.Host, int] | None:
            if hosts.find(session, name) is None:
                return None
            state = hosts.state(session, name)
            return _whole(session, name, state, now), state.generation if state else 0

        found = self.database.read(work)
        if found is None:
            raise unknown_host()
        # A lease that ran out since is another standing.
        if not is_known(req, resp, f"{found[1]}-{found[0].state}"):
            resp.media = wire.to_dict(found[0])

    def on_delete(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Forget the host's keys: it can enrol anew."""
        self.access.require(req, rules.REMOVE)
        try:
            operator.remove(self.database, name, datetime.now(UTC), _who(req))
        except HostUnknown:
            raise unknown_host() from None
        resp.status = falcon.HTTP_204


@dataclass(frozen=True)
class Verdicts:
    """What came out of each appraisal, newest first; ``?limit=`` and ``?marker=`` (a number)."""

    database: Database
    access: Access

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        self.access.require(req, rules.HISTORY)
        limit = paging.limit(req)
        before = paging.before(req)

        def work(session: Session) -> list[answers.Verdict] | None:
            if hosts.find(session, name) is None:
                return None
            return [_verdict(one) for one in verdicts.page(session, name, before, limit)]

        found = self.database.read(work)
        if found is None:
            raise unknown_host()
        more = paging.next_link(req, str(found[-1].id)) if len(found) == limit else []
        resp.media = wire.to_dict(answers.Verdicts(found, more))


@dataclass(frozen=True)
class Actions:
    """``{"approve": {"ek_sha256": "..."}}`` or ``{"revoke": {"reason": "..."}}``, the text may be
    left out."""

    database: Database
    access: Access

    def on_post(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        who = _who(req)  # without a token nothing is read
        action = wire.from_json(
            answers.Action, req.bounded_stream.read(_MAX_ACTION + 1), _MAX_ACTION
        )
        if (action.approve is None) is (action.revoke is None):
            raise InputError('the action is {"approve": {}} or {"revoke": {"reason": "..."}}')
        now = datetime.now(UTC)
        try:
            if action.revoke is not None:
                self.access.require(req, rules.REVOKE)
                operator.revoke(self.database, name, now, who, action.revoke.reason)
            elif action.approve is not None:
                self.access.require(req, rules.APPROVE)
                operator.approve(self.database, name, now, who, action.approve.ek_sha256)
        except HostUnknown:
            raise unknown_host() from None
        except HostOther as exc:
            raise Conflict(exc.reason, code=exc.code, remedy=exc.remedy) from None
        found = self.database.read(lambda s: _whole(s, name, hosts.state(s, name), now))
        resp.media = wire.to_dict(found)


def _conditions(req: falcon.Request, now: datetime) -> list[sa.ColumnElement[bool]]:
    """Return what is asked of the hosts in a list.  Raises InputError."""
    found: list[sa.ColumnElement[bool]] = []
    if (asked := req.get_param("state")) is not None:
        known = get_args(standing.StandingWord)
        if not set(words := asked.split(",")) <= set(known):
            raise InputError(f"state is one of {', '.join(known)}, or several of them")
        found.append(standing.word_of_row(now).in_(words))
    if (part := req.get_param("name")) is not None:
        if len(part) > LONGEST_NAME:
            raise InputError(f"no host's name is longer than {LONGEST_NAME} characters")
        found.append(hosts.name_like(part))
    least = req.get_param_as_int("min_level", min_value=LOWEST_LEVEL, max_value=HIGHEST_LEVEL)
    if (trait := req.get_param("trait")) is not None:
        if not (carried := level_of_trait(trait)):
            raise InputError(
                f"trait is {TRUSTED_TRAIT} or one of {', '.join(LEVEL_TRAITS.values())}"
            )
        least = max(least or NOTHING, carried)
    if least is not None:
        found.append(standing.level_of_row(now) >= least)
    for name, column in (("policy", HostState.policy), ("code", HostState.code)):
        if (word := req.get_param(name)) is not None:
            found.append(column == word)
    return found


def _who(req: falcon.Request) -> str:
    return str(caller(req).user_id)


def unknown_host() -> NotFound:
    """Return the refusal of a name that is not enrolled."""
    return NotFound(
        "no such host is enrolled",
        code="HOST_UNKNOWN",
        remedy="start e2etrust-agent on it and look at its log",
    )


def _brief(name: str, state: HostState | None, now: datetime) -> answers.Host:
    """A host with the checks that failed last; it costs one row, however many hosts there are."""
    return answers.Host(
        name=name,
        state=standing.word(state, now),
        lease_seconds=0.0 if state is None else standing.seconds_left(state, now),
        since=state.since.isoformat() if state else None,
        last_attested=state.attested_at.isoformat() if state and state.attested_at else None,
        reset_count=state.reset_count if state else None,
        checks=standing.failed_checks(state) if state is not None else [],
        level=0 if state is None else standing.level(state, now),
        policy=state.policy if state is not None else None,
    )


def _whole(session: Session, name: str, state: HostState | None, now: datetime) -> answers.Host:
    """A host with all checks of its last appraisal, or with why it stands otherwise than that."""
    checks = results.current_checks(session, name, state)
    since = results.failing_since(session, name, state, checks)
    last = verdicts.last(session, name)
    brief = _brief(name, state, now)
    return replace(
        brief,
        checks=checks,
        failing_since={check: moment.isoformat() for check, moment in since.items()},
        policy=last.policy if last is not None else brief.policy,
        policy_version=last.policy_version if last is not None else None,
    )


def _verdict(verdict: Verdict) -> answers.Verdict:
    return answers.Verdict(
        id=verdict.id,
        at=verdict.at.isoformat(),
        purpose=verdict.purpose,
        policy=verdict.policy,
        trusted=verdict.trusted,
        checks=verdicts.results(verdict),
        policy_version=verdict.policy_version,
    )
