# SPDX-License-Identifier: Apache-2.0
"""What the REST API answers and is asked, as values: the OpenAPI document is made of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from e2etrust_core.appraisal.model import CheckResult
from e2etrust_core.messages import Refusal, ServerEvidence
from e2etrust_verifier.trust.policy_overview import PolicyWord
from e2etrust_verifier.trust.standing import StandingWord


@dataclass(frozen=True, slots=True)
class Error:
    """Every refusal: a code that stays the same across releases, why, and what to do."""

    error: Refusal


@dataclass(frozen=True, slots=True)
class Link:
    rel: str
    href: str


@dataclass(frozen=True, slots=True)
class Version:
    id: str
    status: str
    version: str
    links: list[Link]


@dataclass(frozen=True, slots=True)
class Versions:
    versions: list[Version]


@dataclass(frozen=True, slots=True)
class Service:
    """``key_user_id``: the keystone user that needs read access to image keys."""

    version: str
    key_user_id: str | None


@dataclass(frozen=True, slots=True)
class Jwks:
    """RFC 7517."""

    keys: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why hosts are red: by the same policy they failed with the same code first (null where they
    wait for an operator and failed nothing).

    ``held`` of the ``hosts`` wait for an operator; the first stands so ``since``, the last since
    the ``latest`` moment; ``check`` is what the ``example``, one of them, failed.
    """

    code: str | None
    policy: str | None
    hosts: int
    held: int
    since: str
    latest: str
    example: str
    check: CheckResult


@dataclass(frozen=True, slots=True)
class Summary:
    """``hosts`` counts enrolled hosts by how they stand at the moment ``at``; times are ISO 8601
    with a zone; ``workers`` are the verifier's processes that were seen lately; ``reasons`` say
    why hosts are untrusted or held, at most 50 of them, that of most hosts first, to who may list
    hosts."""

    at: str
    hosts: dict[StandingWord, int]
    oldest_attestation: str | None
    last_verdict: str | None
    started_servers: int
    workers: int
    reasons: list[Reason] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Host:
    """``lease_seconds`` are left; times are ISO 8601 with a zone.  ``checks`` are those of the last
    appraisal, in a list of hosts only those that failed; ``failing_since`` (not in a list) says
    since when each check that fails does; ``policy`` is by which it was appraised last, its
    ``policy_version`` is not in a list; ``level`` is the lease's, 0 without."""

    name: str
    state: StandingWord
    lease_seconds: float
    since: str | None
    last_attested: str | None
    reset_count: int | None
    checks: list[CheckResult]
    level: int
    failing_since: dict[str, str] = field(default_factory=dict)
    policy: str | None = None
    policy_version: int | None = None


@dataclass(frozen=True, slots=True)
class Hosts:
    hosts: list[Host]
    hosts_links: list[Link] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came out of one appraisal; ``purpose`` is attest or launch."""

    id: int
    at: str
    purpose: str
    policy: str
    trusted: bool
    checks: list[CheckResult]
    policy_version: int | None = None


@dataclass(frozen=True, slots=True)
class Verdicts:
    verdicts: list[Verdict]
    verdicts_links: list[Link] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class EvidenceBrief:
    """Recorded evidence; ``fingerprint`` is that of the policy as it was."""

    id: int
    at: str
    policy: str
    fingerprint: str
    trusted: bool


@dataclass(frozen=True, slots=True)
class EvidenceList:
    """Newest first."""

    evidence: list[EvidenceBrief]


@dataclass(frozen=True, slots=True)
class Enrolment:
    """``ek_sha256``: of the EK's TPMT_PUBLIC, ``ak_name``: TPM2B_NAME's name (hex); the
    ``manufacturer`` is known only where an authority vouched for the EK's certificate;
    ``refused_ek_sha256``: other keys that the name was asked for with, the last first, at most
    16: claimed by whoever asked, not proved."""

    host: str
    suite: str
    enrolled_at: str
    ek_accepted_by: str
    manufacturer: str | None
    ek_sha256: str
    ak_name: str
    refused_ek_sha256: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Enrolments:
    enrolments: list[Enrolment]
    enrolments_links: list[Link] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Policy:
    """A file of the policy directory; of an unreadable one there is no name.

    ``hosts`` are patterns, ``hosts_count`` the enrolled hosts that it is the first to match;
    ``edition`` is of text and files, ``fingerprint`` of what holds now; ``newest_version`` was
    applied; ``asks`` names its sections; ``code``, ``reason`` and ``remedy`` say why it does not
    count; ``workers`` of the live verifier processes have this very policy.
    """

    name: str
    file: str
    state: PolicyWord
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
class Policies:
    """In the order in which they are looked at; ``hosts_without``: enrolled hosts that none
    matches; ``workers`` told which policies they have, and ``policy_sets`` of these differ."""

    policies: list[Policy]
    hosts_without: int
    workers: int = 0
    policy_sets: int = 0


@dataclass(frozen=True, slots=True)
class Nothing:
    pass


@dataclass(frozen=True, slots=True)
class Revocation:
    """``reason`` is for whoever asks later."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Approval:
    """``ek_sha256``: of the EK that the host must have been enrolled with."""

    ek_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """Exactly one of both."""

    approve: Approval | None = None
    revoke: Revocation | None = None


@dataclass(frozen=True, slots=True)
class Expectation:
    """``ek_sha256``: SHA-256 (hex) of the TPMT_PUBLIC of each endorsement key that may enrol under
    the host's name; ``replace``: forget a host that is enrolled with another TPM."""

    ek_sha256: list[str]
    replace: bool = False


@dataclass(frozen=True, slots=True)
class Expected:
    """What operators expect of a host; ``enrolled`` says whether it is there already."""

    host: str
    ek_sha256: list[str]
    since: str
    by: str
    enrolled: bool


@dataclass(frozen=True, slots=True)
class Inventory:
    inventory: list[Expected]
    inventory_links: list[Link] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Launch:
    """A start that was granted; ``record`` is the signed launch record (JWS)."""

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
class Server:
    """Newest first."""

    instance: str
    launches: list[Launch]
    refusals: list[RefusedStart]


@dataclass(frozen=True, slots=True)
class EvidenceAsk:
    """A nonce, and a credential (TPM2B_ID_OBJECT, TPM2B_ENCRYPTED_SECRET) in the second call."""

    nonce: bytes
    credential_blob: bytes | None = None
    encrypted_secret: bytes | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    record: str
    evidence: ServerEvidence


@dataclass(frozen=True, slots=True)
class Event:
    id: int
    at: str
    kind: str
    host: str | None
    instance: str | None
    message: str


@dataclass(frozen=True, slots=True)
class Events:
    """Newest first."""

    events: list[Event]
    events_links: list[Link] = field(default_factory=list)
