# SPDX-License-Identifier: Apache-2.0
"""What the REST API answers, as values."""

from __future__ import annotations

from dataclasses import dataclass, field

from e2etrust_core.appraisal.model import CheckResult


@dataclass(frozen=True, slots=True)
class ServiceInfo:
    """``key_user_id`` is the keystone user that needs read access to image keys."""

    version: str
    key_user_id: str | None = None


@dataclass(frozen=True, slots=True)
class HostState:
    """``state`` is trusted, untrusted, held or unknown; ``lease_seconds`` what is left; ``checks``
    those of the last appraisal, in a list of hosts only those that failed; ``failing_since`` says
    (of one host, not in a list) since when each check that fails does; ``policy`` is by which it
    was appraised last, ``policy_version`` (of one host) its version; ``level`` is the lease's, 0
    without one."""

    name: str
    state: str
    lease_seconds: float = 0.0
    since: str | None = None
    last_attested: str | None = None
    reset_count: int | None = None
    checks: list[CheckResult] = field(default_factory=list)
    failing_since: dict[str, str] = field(default_factory=dict)
    level: int = 0
    policy: str | None = None
    policy_version: int | None = None


@dataclass(frozen=True, slots=True)
class ExpectedHost:
    """``ek_sha256``: SHA-256 (hex) of the TPMT_PUBLIC of each endorsement key that may enrol under
    the host's name."""

    host: str
    ek_sha256: list[str]
    since: str
    by: str
    enrolled: bool


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What a host was enrolled with; ``manufacturer`` where an authority vouched for it;
    ``refused_ek_sha256``: other keys that the name was asked for with, the last first, at most
    16: claimed by whoever asked, not proved."""

    host: str
    suite: str
    enrolled_at: str
    ek_accepted_by: str
    ek_sha256: str
    ak_name: str
    manufacturer: str | None = None
    refused_ek_sha256: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PolicyState:
    """A file of the verifier's policy directory, and whether it counts; see the API's document."""

    name: str
    file: str
    state: str
    hosts_count: int
    newest_version: int | None
    windows_close: list[str]
    code: str = ""
    reason: str = ""
    remedy: str = ""
    version: int | None = None
    edition: str = ""
    fingerprint: str = ""
    hosts: list[str] = field(default_factory=list)
    asks: list[str] = field(default_factory=list)
    quoted_pcrs: dict[str, list[int]] = field(default_factory=dict)
    lease_seconds: int | None = None
    recovery: str | None = None
    level: int | None = None
    workers: int = 0


@dataclass(frozen=True, slots=True)
class PolicyStates:
    """``hosts_without``: enrolled hosts that no policy matches; ``workers`` of the verifier told
    which policies they have, ``policy_sets`` of these differ."""

    policies: list[PolicyState]
    hosts_without: int
    workers: int = 0
    policy_sets: int = 0


@dataclass(frozen=True, slots=True)
class HostVerdict:
    """What came out of one appraisal of a host; ``purpose`` is attest or launch."""

    id: int
    at: str
    purpose: str
    policy: str
    trusted: bool
    checks: list[CheckResult] = field(default_factory=list)
    policy_version: int | None = None


@dataclass(frozen=True, slots=True)
class RecordedEvidence:
    """What is recorded of one attestation; ``fingerprint`` is that of the policy as it was."""

    id: int
    at: str
    policy: str
    fingerprint: str
    trusted: bool


@dataclass(frozen=True, slots=True)
class Launch:
    """One start of a server that was granted.  ``record`` is the signed record (JWS)."""

    id: str
    host: str
    state: str
    at: str
    record: str


@dataclass(frozen=True, slots=True)
class RefusedStart:
    host: str
    code: str
    reason: str
    remedy: str
    at: str


@dataclass(frozen=True, slots=True)
class ServerTrust:
    """Launches and refusals of one server, newest first."""

    instance: str
    launches: list[Launch] = field(default_factory=list)
    refusals: list[RefusedStart] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Event:
    id: int
    at: str
    kind: str
    message: str
    host: str | None = None
    instance: str | None = None
