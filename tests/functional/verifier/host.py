# SPDX-License-Identifier: Apache-2.0
"""A compute host as the verifier meets it: a real TPM, and messages made by hand."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from e2etrust_core import messages, wire
from e2etrust_core.evidence.model import HostEvidence, RunningDomain
from e2etrust_core.launch import (
    LaunchMeasurement,
    LaunchRequest,
    attest_binding,
    launch_binding,
    report_binding,
)
from e2etrust_core.suites import ECC_P256_SHA256, Suite
from e2etrust_core.tpm.credential import activate_credential
from e2etrust_core.tpm.device import Tpm
from e2etrust_core.tpm.ek_templates import EkKind
from e2etrust_core.tpm.keys import create_ak, read_ek
from e2etrust_core.tpm.quote import take_quote
from e2etrust_core.tpm.salt_key import KnownHost

Call = Callable[[str, Any], dict[str, Any]]


def refused(code: str) -> Any:
    """Return what expects the verifier to refuse with *code*."""
    return pytest.raises(messages.RemoteRefusal, match=f"^{code}:")


@dataclass
class Host:
    """``call(method, request)`` reaches a verifier, by whatever way."""

    name: str
    tpm: Tpm
    call: Call
    suite: Suite = ECC_P256_SHA256
    ek_kind: EkKind | None = None
    ak: Any = field(init=False)
    ek: Any = field(init=False)

    def __post_init__(self) -> None:
        self.ek = read_ek(self.tpm, self.ek_kind)
        self.ak = create_ak(self.tpm, self.suite, self.ek.kind)

    @property
    def known(self) -> KnownHost:
        return KnownHost(self.ak, self.ek.public)

    def ask(self, kind: type, method: str, request: Any) -> Any:
        return messages.read_reply(kind, self.call(method, wire.to_dict(request)))

    def enrol_begin(self, **changes: Any) -> messages.EnrolChallenge:
        request = messages.EnrolRequest(
            self.name, self.suite.name, self.ek.public, self.ak.public, self.ek.certificate
        )
        return self.ask(messages.EnrolChallenge, "enrol_begin", replace(request, **changes))

    def enrol(self, **changes: Any) -> messages.EnrolResult:
        challenge = self.enrol_begin(**changes)
        secret = activate_credential(
            self.tpm, self.known, challenge.credential_blob, challenge.encrypted_secret
        )
        answer = messages.EnrolAnswer(challenge.enrolment, secret)
        return self.ask(messages.EnrolResult, "enrol_finish", answer)

    def challenge(self, purpose: str = "attest") -> messages.Challenge:
        request = messages.ChallengeRequest(self.name, purpose)  # type: ignore[arg-type]
        return self.ask(messages.Challenge, "challenge", request)

    def answer(
        self, challenge: messages.Challenge, domains: list[RunningDomain] | None = None
    ) -> messages.AttestRequest:
        """Return true evidence for *challenge*, not sent yet."""
        domains = domains or []
        qualifying = attest_binding(challenge.nonce, domains)
        quote = take_quote(self.tpm, self.ak, qualifying, challenge.selection)
        return messages.AttestRequest(
            self.name, challenge.nonce, HostEvidence(quote, None, domains)
        )

    def attest(self, domains: list[RunningDomain] | None = None) -> messages.AttestResult:
        return self.send(self.answer(self.challenge(), domains))

    def send(self, request: messages.AttestRequest) -> messages.AttestResult:
        return self.ask(messages.AttestResult, "attest", request)

    def launch_ask(
        self, instance: str | None = None, lease: str | None = None, **changes: Any
    ) -> messages.LaunchAsk:
        """Return a true request to launch, not sent yet."""
        challenge = self.challenge("launch")
        measurement = LaunchMeasurement(
            instance or str(uuid.uuid4()), b"f" * 32, b"m" * 32, lease or challenge.lease or "none"
        )
        request = replace(
            LaunchRequest(measurement, "vm", "project1", None, "trusted", None), **changes
        )
        qualifying = launch_binding(challenge.nonce, request, [])
        quote = take_quote(self.tpm, self.ak, qualifying, challenge.selection)
        return messages.LaunchAsk(self.name, challenge.nonce, HostEvidence(quote), request)

    def launch(self, instance: str | None = None, **changes: Any) -> messages.LaunchGrant:
        ask = self.launch_ask(instance, **changes)
        return self.ask(messages.LaunchGrant, "launch", ask)

    def vouched(self, method: str, report: Any) -> Any:
        """Return *report* with this host's proof, not sent yet."""
        proof = take_quote(self.tpm, self.ak, report_binding(method, report), {"sha256": [0]})
        return replace(report, proof=proof)

    def tell(self, method: str, report: Any) -> messages.Nothing:
        return self.ask(messages.Nothing, method, self.vouched(method, report))

    def delta(self, since: int = 0) -> messages.LeaseDelta:
        return self.ask(messages.LeaseDelta, "lease_delta", messages.DeltaRequest(since))
