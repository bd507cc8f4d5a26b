# SPDX-License-Identifier: Apache-2.0
"""The verifier's REST API, version 1: the one module of the client that speaks it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib import parse

import msgspec
from keystoneauth1 import adapter
from keystoneauth1 import exceptions as ks_exc

from e2etrust_client.errors import ClientError, ServiceRefusal
from e2etrust_client.model import (
    Enrolment,
    Event,
    ExpectedHost,
    HostState,
    HostVerdict,
    PolicyState,
    PolicyStates,
    RecordedEvidence,
    ServerTrust,
    ServiceInfo,
)
from e2etrust_core import wire
from e2etrust_core.appraisal.recorded import RecordedAppraisal
from e2etrust_core.messages import GuestAsk, Refusal, ServerEvidence

SERVICE_TYPE = "attestation"

_LARGEST_PAGE = 1000
_LOG_IN = "check the user, the password and the project of your cloud's settings"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _ErrorBody:
    error: Refusal


@dataclass(frozen=True, slots=True)
class _Link:
    rel: str
    href: str


@dataclass(frozen=True, slots=True)
class _Hosts:
    hosts: list[HostState]
    hosts_links: list[_Link] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Inventory:
    inventory: list[ExpectedHost]
    inventory_links: list[_Link] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Enrolments:
    enrolments: list[Enrolment]
    enrolments_links: list[_Link] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Verdicts:
    verdicts: list[HostVerdict]
    verdicts_links: list[_Link] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _EvidenceList:
    evidence: list[RecordedEvidence]


@dataclass(frozen=True, slots=True)
class _Events:
    events: list[Event]
    events_links: list[_Link] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SignedEvidence:
    """A launch record and evidence that was taken for this call."""

    record: str
    evidence: ServerEvidence


class AttestationClient:
    """A keystoneauth session's view of the attestation service.

    Every method raises :class:`ServiceRefusal` where the service refuses and
    :class:`ClientError` where it cannot be reached or answers something else.
    """

    def __init__(self, session: Any, **kwargs: Any) -> None:
        self._http = adapter.Adapter(
            session=session, service_type=SERVICE_TYPE, user_agent="e2etrust-client", **kwargs
        )

    def info(self) -> ServiceInfo:
        return self._call(ServiceInfo, "GET", "/v1")

    def jwks(self) -> dict[str, Any]:
        """Return the keys that launch records are signed with (RFC 7517)."""
        return self._call(dict[str, Any], "GET", "/v1/jwks")

    def hosts(
        self,
        state: str | None = None,
        limit: int | None = None,
        marker: str | None = None,
        *,
        name: str | None = None,
        min_level: int | None = None,
        trait: str | None = None,
        policy: str | None = None,
        code: str | None = None,
    ) -> list[HostState]:
        """Return all hosts behind *marker*, at most *limit* of them, page by page.

        :param state: one word or several with commas between.
        :param name: a part of it, or a pattern with ``*`` and ``?``.
        :param min_level: only hosts that hold a lease of that level or a higher one.
        :param trait: only hosts that carry that trait of ours in Placement.
        :param policy: only hosts that were appraised last by it.
        :param code: only hosts that failed with that code first.
        """
        found: list[HostState] = []
        while True:
            left = None if limit is None else min(limit - len(found), _LARGEST_PAGE)
            query = {
                "state": state,
                "name": name,
                "min_level": min_level,
                "trait": trait,
                "policy": policy,
                "code": code,
                "limit": left,
                "marker": marker,
            }
            params = {k: v for k, v in query.items() if v is not None}
            page = self._call(_Hosts, "GET", "/v1/hosts", params=params)
            found += page.hosts
            full = limit is not None and len(found) >= limit
            if full or not _goes_on(page.hosts, page.hosts_links):
                return found
            marker = page.hosts[-1].name

    def host(self, name: str) -> HostState:
        return self._call(HostState, "GET", _host_path(name))

    def host_result(self, name: str) -> str:
        """Return the host's attestation result as a signed token (EAR), not checked yet."""
        return str(self._request("GET", f"{_host_path(name)}/result").text)

    def host_history(self, name: str, limit: int = 20) -> list[HostVerdict]:
        """Return what came out of the host's appraisals, newest first, page by page."""
        path = f"{_host_path(name)}/verdicts"
        found: list[HostVerdict] = []
        while True:
            page = self._call(_Verdicts, "GET", path, params=_page(found, limit))
            found += page.verdicts
            if len(found) >= limit or not _goes_on(page.verdicts, page.verdicts_links):
                return found

    def host_evidence_list(self, name: str) -> list[RecordedEvidence]:
        """Return what is recorded of a host's evidence, newest first."""
        path = f"{_host_path(name)}/evidence"
        return self._call(_EvidenceList, "GET", path).evidence

    def host_evidence(self, name: str, number: int | None = None) -> RecordedAppraisal:
        """Return recorded evidence, the newest where no *number* is given.

        :raises ClientError: there is none.
        """
        if number is None:
            listed = self.host_evidence_list(name)
            if not listed:
                raise ClientError(
                    f"no evidence of host {name} is recorded",
                    code="EVIDENCE_UNKNOWN",
                    remedy="a host is recorded when it attests: let a policy match it, if only"
                    " with `observe`",
                )
            number = listed[0].id
        return self._call(RecordedAppraisal, "GET", f"{_host_path(name)}/evidence/{number}")

    def approve_host(self, name: str, ek_sha256: str | None = None) -> HostState:
        """Let a held host be trusted again by its next good evidence.

        :param ek_sha256: the key that it must be enrolled with.
        """
        body = {"approve": {} if ek_sha256 is None else {"ek_sha256": ek_sha256}}
        return self._call(HostState, "POST", f"{_host_path(name)}/action", json=body)

    def revoke_host(self, name: str, reason: str = "") -> HostState:
        """End a host's lease now and hold it."""
        body = {"revoke": {"reason": reason}}
        return self._call(HostState, "POST", f"{_host_path(name)}/action", json=body)

    def remove_host(self, name: str) -> None:
        """Forget a host's keys: it can enrol anew."""
        self._request("DELETE", _host_path(name))

    def inventory(self) -> list[ExpectedHost]:
        """Return which endorsement keys operators expect, by host name."""
        found: list[ExpectedHost] = []
        while True:
            params = {"marker": found[-1].host} if found else {}
            page = self._call(_Inventory, "GET", "/v1/inventory", params=params)
            found += page.inventory
            if not _goes_on(page.inventory, page.inventory_links):
                return found

    def expected_host(self, name: str) -> tuple[ExpectedHost, str]:
        """Return which endorsement keys are expected of *name*, with the entity tag of that."""
        path = _inventory_path(name)
        answer = self._request("GET", path)
        return _read(ExpectedHost, answer, f"GET {path}"), str(answer.headers.get("ETag", ""))

    def expect_host(
        self, name: str, ek_sha256: list[str], *, replace: bool, if_match: str | None = None
    ) -> ExpectedHost:
        """Let TPMs with these endorsement keys, and no others, enrol as *name*.

        :param if_match: only while this is the entity tag of what is expected.
        """
        body = {"ek_sha256": ek_sha256, "replace": replace}
        headers = _if_match(if_match)
        return self._call(ExpectedHost, "PUT", _inventory_path(name), json=body, headers=headers)

    def unexpect_host(self, name: str, *, if_match: str | None = None) -> None:
        """Expect no particular endorsement key of *name* any more.

        :param if_match: only while this is the entity tag of what is expected.
        """
        self._request("DELETE", _inventory_path(name), headers=_if_match(if_match))

    def enrolments(self) -> list[Enrolment]:
        """Return what every host was enrolled with, by host name."""
        found: list[Enrolment] = []
        while True:
            params = {"marker": found[-1].host} if found else {}
            page = self._call(_Enrolments, "GET", "/v1/enrolments", params=params)
            found += page.enrolments
            if not _goes_on(page.enrolments, page.enrolments_links):
                return found

    def enrolment(self, name: str) -> Enrolment:
        return self._call(Enrolment, "GET", f"/v1/enrolments/{parse.quote(name, safe='')}")

    def policies(self) -> PolicyStates:
        """Return the verifier's host policies, in the order in which they are looked at."""
        return self._call(PolicyStates, "GET", "/v1/policies")

    def policy(self, name: str) -> PolicyState:
        return self._call(PolicyState, "GET", f"/v1/policies/{parse.quote(name, safe='')}")

    def server(self, instance: str) -> ServerTrust:
        return self._call(ServerTrust, "GET", f"/v1/servers/{instance}")

    def server_evidence(self, ask: GuestAsk) -> SignedEvidence:
        """Have host and guest quote together, for the nonce in *ask*."""
        body = {k: v for k, v in wire.to_dict(ask).items() if k != "instance"}
        return self._call(SignedEvidence, "POST", f"/v1/servers/{ask.instance}/evidence", json=body)

    def events(
        self, limit: int = 50, host: str | None = None, kind: str | None = None
    ) -> list[Event]:
        """Return what happened, newest first, page by page."""
        asked = {k: v for k, v in (("host", host), ("kind", kind)) if v is not None}
        found: list[Event] = []
        while True:
            params = {**_page(found, limit), **asked}
            page = self._call(_Events, "GET", "/v1/events", params=params)
            found += page.events
            if len(found) >= limit or not _goes_on(page.events, page.events_links):
                return found

    def _call(self, kind: type[T], method: str, path: str, **kwargs: Any) -> T:
        return _read(kind, self._request(method, path, **kwargs), f"{method} {path}")

    def _request(self, method: str, path: str, **kwargs: Any) -> Any:
        try:
            answer = self._http.request(path, method, raise_exc=False, **kwargs)
        except ks_exc.ClientException as exc:
            raise _unreachable(exc) from exc
        if answer.status_code >= 400:
            raise _refusal(answer)
        return answer


def _page(found: Sequence[HostVerdict | Event], limit: int) -> dict[str, int]:
    """Return what asks for the page behind what was *found*, of *limit* rows in all."""
    most = {"limit": min(limit - len(found), _LARGEST_PAGE)}
    return {**most, "marker": found[-1].id} if found else most


def _goes_on(page: Sequence[Any], links: list[_Link]) -> bool:
    return bool(page) and any(link.rel == "next" for link in links)


def _host_path(name: str) -> str:
    return f"/v1/hosts/{parse.quote(name, safe='')}"


def _inventory_path(name: str) -> str:
    return f"/v1/inventory/{parse.quote(name, safe='')}"


def _if_match(tag: str | None) -> dict[str, str]:
    return {} if tag is None else {"If-Match": tag}


def _read(kind: type[T], answer: Any, asked: str) -> T:
    try:
        return msgspec.convert(answer.json(), type=kind, strict=True, str_keys=True)
    except (ValueError, msgspec.ValidationError) as exc:
        raise ClientError(
            f"the attestation service answered {asked} with something else: {exc}"
        ) from None


def _unreachable(exc: ks_exc.ClientException) -> ClientError:
    if isinstance(exc, ks_exc.HttpError):
        return ClientError(f"keystone refused: {exc}", code="UNAUTHENTICATED", remedy=_LOG_IN)
    if isinstance(exc, ks_exc.CatalogException):
        why = "keystone's catalog has no attestation service"
    else:
        # What stands behind the first colon repeats itself in the words of three libraries.
        why = str(exc).split(": HTTP", 1)[0].split("\n", 1)[0]
    return ClientError(
        f"the attestation service cannot be reached: {why}",
        code="SERVICE_DOWN",
        remedy="check `openstack catalog show attestation` and that the service runs",
    )


def _refusal(answer: Any) -> ClientError:
    try:
        error = wire.from_json(_ErrorBody, answer.content).error
    except Exception:
        return ClientError(f"the attestation service answered HTTP {answer.status_code}")
    return ServiceRefusal(error.reason, code=error.code, remedy=error.remedy)
