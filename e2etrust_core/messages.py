# SPDX-License-Identifier: Apache-2.0
"""The messages between agent, verifier, filter and client, as values.

Every RPC method takes one of these as its only argument (made plain by
:func:`e2etrust_core.wire.to_dict`) and answers with :class:`Reply`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from e2etrust_core import wire
from e2etrust_core.appraisal.model import CheckResult
from e2etrust_core.errors import E2ETrustError
from e2etrust_core.evidence.model import (
    GuestEvidence,
    GuestIdentity,
    HostEvidence,
    PcrSelection,
    Quote,
)
from e2etrust_core.launch import LaunchRequest
from e2etrust_core.one_line import printable

#: Named by both ends: `control_exchange` differs between services (Nova sets its own as the
#: default of the whole process), and ends on two exchanges never meet.
EXCHANGE = "e2etrust"
VERIFIER_TOPIC = "e2etrust.verifier"
AGENT_TOPIC = "e2etrust.agent"
#: In an RPC's context: seconds that the caller waits for its answer.
GIVE_UP_AFTER = "give_up_after"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal as it crosses the wire.

    ``retry_after`` is set where the same call may pass later: seconds until then.
    """

    code: str
    reason: str
    remedy: str = ""
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """Either a result (plain values) or a refusal, never both."""

    result: dict[str, Any] | None = None
    error: Refusal | None = None


class RemoteRefusal(E2ETrustError):
    """The other side refused; code, reason and remedy are its own, as is ``retry_after``."""

    retry_after: float | None = None


def reply_ok(value: Any) -> dict[str, Any]:
    """Wrap *value* (a dataclass, or None) as the answer of an RPC method."""
    return {"result": wire.to_dict(value) if value is not None else {}}


def reply_error(exc: E2ETrustError) -> dict[str, Any]:
    """Wrap an error of ours as the answer of an RPC method."""
    retry_after = getattr(exc, "retry_after", None)
    return {"error": wire.to_dict(Refusal(exc.code, exc.reason, exc.remedy, retry_after))}


def read_reply(kind: type[T], value: Any) -> T:
    """Return the typed result in an answer.

    :raises RemoteRefusal: the other side refused, each of its words on one line.
    :raises InputError: the answer is not one.
    """
    reply = wire.from_dict(Reply, value)
    if (told := reply.error) is not None:
        reason, code, remedy = map(printable, (told.reason, told.code, told.remedy))
        refusal = RemoteRefusal(reason, code=code, remedy=remedy)
        refusal.retry_after = told.retry_after
        raise refusal
    return wire.from_dict(kind, reply.result)


# --- agent -> verifier -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Nothing:
    """The result of a call that has none."""


@dataclass(frozen=True, slots=True)
class EnrolRequest:
    """``ek_public`` and ``ak_public`` are TPMT_PUBLIC areas, the certificate is DER.

    ``ek_chain`` is what the TPM carries of authorities above it (:mod:`.evidence.ek_chain`).
    """

    host: str
    suite: str
    ek_public: bytes
    ak_public: bytes
    ek_certificate: bytes | None = None
    ek_chain: bytes = b""


@dataclass(frozen=True, slots=True)
class EnrolChallenge:
    """A credential for TPM2_ActivateCredential: TPM2B_ID_OBJECT, TPM2B_ENCRYPTED_SECRET.

    ``enrolment`` is empty when the very same keys are enrolled already: nothing to answer.
    """

    enrolment: str
    credential_blob: bytes = b""
    encrypted_secret: bytes = b""


@dataclass(frozen=True, slots=True)
class EnrolAnswer:
    enrolment: str
    secret: bytes


@dataclass(frozen=True, slots=True)
class EnrolResult:
    host: str
    ak_name: bytes


@dataclass(frozen=True, slots=True)
class ChallengeRequest:
    host: str
    purpose: Literal["attest", "launch"]


@dataclass(frozen=True, slots=True)
class ImaFrom:
    """The verifier knows the first ``offset`` bytes of the IMA list of the boot that the TPM counts
    as ``reset_count``; of any other boot it knows nothing."""

    offset: int = 0
    reset_count: int = 0


@dataclass(frozen=True, slots=True)
class Challenge:
    """``lease`` is the id of the host's lease now, None where it has none; ``ima`` is None where no
    IMA list is asked for."""

    nonce: bytes
    expires_in: float
    selection: PcrSelection
    event_log: bool
    lease: str | None = None
    ima: ImaFrom | None = None


@dataclass(frozen=True, slots=True)
class AttestRequest:
    """``pins_verifier``: the agent takes only signed answers; for the operator to know, no more.

    ``given``: the challenge came with the lease before.  So nothing of this was admitted yet,
    and a busy verifier refuses it as it would refuse the question for a challenge.
    """

    host: str
    nonce: bytes
    evidence: HostEvidence
    pins_verifier: bool = False
    given: bool = False


@dataclass(frozen=True, slots=True)
class LeaseGrant:
    """``level`` is that of the policy that was satisfied; 0 from a verifier that knows none."""

    id: str
    seconds: float
    level: int = 0


@dataclass(frozen=True, slots=True)
class AttestResult:
    """``lease`` is None where the verdict is not trusted; ``checks`` says why.

    ``challenge`` is the host's next one, where it may still be open when the host comes again: that
    spares it the call.
    """

    trusted: bool
    checks: list[CheckResult]
    lease: LeaseGrant | None = None
    #: Seconds after which the host should attest again, also after a failure.
    again_in: float = 30.0
    challenge: Challenge | None = None


@dataclass(frozen=True, slots=True)
class LaunchAsk:
    host: str
    nonce: bytes
    evidence: HostEvidence
    request: LaunchRequest


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A key for one TPM in one PCR state (TPM 2.0 Library Part 3, 13.3 TPM2_Import).

    ``public`` TPM2B_PUBLIC of a sealed data object whose policy is PolicyPCR(selection),
    ``duplicate`` TPM2B_PRIVATE, ``encrypted_seed`` TPM2B_ENCRYPTED_SECRET to the host's EK.
    """

    public: bytes
    duplicate: bytes
    encrypted_seed: bytes
    selection: PcrSelection


@dataclass(frozen=True, slots=True)
class LaunchGrant:
    """``record`` is the signed launch record (JWS, ES256), ``launch`` its id."""

    launch: str
    record: str
    wrapped_key: WrappedKey | None = None


@dataclass(frozen=True, slots=True)
class LaunchUpdate:
    """A launch went on: ``started`` after QEMU ran, ``ended`` when it was torn down.

    ``proof`` is a quote bound to the message without it (:func:`.launch.report_binding`): the
    host's own word.  The same message twice changes nothing the second time.
    """

    host: str
    launch: str
    state: Literal["started", "ended", "failed"]
    reason: str = ""
    proof: Quote | None = None


@dataclass(frozen=True, slots=True)
class RefusalReport:
    """A start that the host refused by itself, for the tenant to read later.

    ``at`` is seconds since the epoch by the host's clock; ``proof`` as in :class:`LaunchUpdate`.
    """

    host: str
    instance: str
    project: str | None
    refusal: Refusal
    at: float
    proof: Quote | None = None


# --- filter -> verifier ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DeltaRequest:
    """``since`` is the generation the caller has; 0 asks for all."""

    since: int


@dataclass(frozen=True, slots=True)
class HostTrust:
    """``seconds`` of lease are left when the answer was made; 0 where there is none.

    ``level`` is the lease's; 0 without one, and from a verifier that knows none.
    """

    host: str
    seconds: float
    failed: list[CheckResult] = field(default_factory=list)
    level: int = 0


@dataclass(frozen=True, slots=True)
class LeaseDelta:
    """Hosts that changed since; with ``full`` the caller drops what it had."""

    generation: int
    full: bool
    hosts: list[HostTrust]


# --- verifier -> agent (for a tenant's `server verify`) ---------------------------------------


@dataclass(frozen=True, slots=True)
class GuestAsk:
    """First without a credential (identity only), then with one made for that identity."""

    instance: str
    nonce: bytes
    credential_blob: bytes | None = None
    encrypted_secret: bytes | None = None


@dataclass(frozen=True, slots=True)
class ServerEvidence:
    """Guest and host signed together.  ``guest``/``host_quote`` are None in the first round."""

    host: str
    launch: str
    identity: GuestIdentity
    guest: GuestEvidence | None = None
    host_quote: Quote | None = None


# --- the signed launch record ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LaunchRecord:
    """Claims of the launch record JWS.

    ``iss`` the verifier, ``iat`` seconds since the epoch, ``jti`` the launch's id.  The
    evidence it was granted on is in it, so that anybody can check again: the host's AK
    (TPMT_PUBLIC), the nonce, the quote, and the domains the quote was bound to.
    """

    iss: str
    iat: int
    jti: str
    host: str
    host_ek_public: bytes
    host_ak_public: bytes
    nonce: bytes
    evidence: HostEvidence
    request: LaunchRequest
    lease: LeaseGrant
    policy: str
