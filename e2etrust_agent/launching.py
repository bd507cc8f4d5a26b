# SPDX-License-Identifier: Apache-2.0
"""Flow 4, launch, as the agent's part in it: challenge, fresh quote, key opened by the TPM."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from e2etrust_agent.attestation import AttestationLoop, refusal_of
from e2etrust_agent.attester import Attester
from e2etrust_agent.client.protocol import (
    LaunchBegin,
    LaunchEnd,
    LaunchFinish,
    LaunchOpened,
    LaunchStarted,
    RefusalNote,
)
from e2etrust_agent.domains import QemuDomain
from e2etrust_agent.errors import RequestError
from e2etrust_agent.launches import LaunchBook
from e2etrust_agent.outbox import Outbox
from e2etrust_agent.verifier_bus import VerifierBus
from e2etrust_core import messages
from e2etrust_core.evidence.model import RunningDomain
from e2etrust_core.launch import LaunchRequest, launch_binding

LOG = logging.getLogger(__name__)

State = Literal["started", "ended", "failed"]

#: Challenges that may be open at once; a host starts far fewer servers in a nonce's lifetime.
MAX_OPEN = 64


@dataclass(frozen=True, slots=True)
class _Open:
    challenge: messages.Challenge
    instance: str
    until: float


class Launching:
    """What the hook asks the agent for, from ``prepare begin`` to ``release end``."""

    def __init__(
        self,
        attester: Attester,
        verifier: VerifierBus,
        attestation: AttestationLoop,
        book: LaunchBook,
        outbox: Outbox,
        find_domain: Callable[[str], QemuDomain | None],
    ) -> None:
        self._attester = attester
        self._verifier = verifier
        self._attestation = attestation
        self._book = book
        self._outbox = outbox
        self._find_domain = find_domain
        self._lock = threading.Lock()
        self._open: dict[bytes, _Open] = {}

    @property
    def host(self) -> str:
        return self._attester.identity.host

    def begin(self, request: LaunchBegin) -> messages.Challenge:
        """Return a challenge for a launch under the host's lease of now.

        Without a lease the host is attested at once: its lease may just have run out.

        :raises E2ETrustError: the host is not trusted; the first check that failed says why.
        """
        challenge = self._challenge()
        if challenge.lease is None:
            result = self._attestation.attest()
            if not result.trusted:
                told = refusal_of(result)
                raise messages.RemoteRefusal(told.reason, code=told.code, remedy=told.remedy)
            challenge = self._challenge()
        if challenge.lease is None:
            raise messages.RemoteRefusal(
                "host has no lease",
                code="LEASE_NONE",
                remedy="The operator reads why: openstack attestation host show.",
            )
        self._remember(challenge, request.instance)
        return challenge

    def finish(self, request: LaunchFinish) -> LaunchOpened:
        """Quote for this launch, have it granted, and open the image key.

        :raises E2ETrustError: not granted, or the TPM does not open the key.
        """
        challenge = self._take(request)
        asked = request.request

        def binding(nonce: bytes, domains: list[RunningDomain]) -> bytes:
            return launch_binding(nonce, asked, domains)

        evidence = self._attester.evidence(challenge, binding)
        ask = messages.LaunchAsk(self.host, challenge.nonce, evidence, asked)
        grant = self._verifier.launch(ask)
        for old in self._book.granted(grant.launch, asked.instance, challenge.selection):
            self._report(old.id, "ended", "a newer launch took its place")
        return LaunchOpened(grant.launch, grant.record, self._open_key(grant, asked))

    def started(self, request: LaunchStarted) -> None:
        """Bind the launch to the QEMU process that runs.

        :raises RequestError: the domain does not run, or the launch is not its.
        """
        domain = self._find_domain(request.instance)
        if domain is None:
            raise RequestError(
                "the domain does not run",
                code="DOMAIN_NOT_RUNNING",
                remedy="Start the server again through Nova.",
            )
        self._book.started(request.launch, domain)
        self._report(request.launch, "started", "")

    def ended(self, request: LaunchEnd) -> None:
        if self._book.ended(request.launch):
            self._report(request.launch, "ended", request.reason)

    def failed(self, request: LaunchEnd) -> None:
        if self._book.ended(request.launch):
            self._report(request.launch, "failed", request.reason)

    def refused(self, note: RefusalNote) -> None:
        """Keep a refusal for the tenant; the verifier knows one that it made itself again."""
        LOG.error(
            "start of %s refused: %s: %s", note.instance, note.refusal.code, note.refusal.reason
        )
        self._outbox.refused(note)

    def sweep(self) -> None:
        """Tell the verifier of launches that ended without the hook's word (a power cut)."""
        for launch in self._book.sweep():
            state: State = "ended" if launch.pid is not None else "failed"
            self._report(launch.id, state, "its process is gone")

    def _challenge(self) -> messages.Challenge:
        return self._verifier.challenge(messages.ChallengeRequest(self.host, "launch"))

    def _open_key(self, grant: messages.LaunchGrant, asked: LaunchRequest) -> bytes | None:
        if (grant.wrapped_key is None) != (asked.key_id is None):
            self.failed(LaunchEnd(asked.instance, grant.launch, "KEY_DENIED"))
            raise RequestError(
                "no image key came with the launch",
                code="KEY_DENIED",
                remedy="Start the server again; else compare releases of agent and verifier.",
            )
        if grant.wrapped_key is None:
            return None
        try:
            return self._attester.unwrap(grant.wrapped_key)
        except Exception as exc:
            self.failed(LaunchEnd(asked.instance, grant.launch, type(exc).__name__))
            raise

    def _remember(self, challenge: messages.Challenge, instance: str) -> None:
        now = time.monotonic()
        with self._lock:
            self._open = {n: o for n, o in self._open.items() if o.until > now}
            if len(self._open) >= MAX_OPEN:
                raise RequestError(
                    "too many launches are open",
                    code="AGENT_BUSY",
                    remedy="Start the server again in a minute.",
                )
            self._open[challenge.nonce] = _Open(challenge, instance, now + challenge.expires_in)

    def _take(self, request: LaunchFinish) -> messages.Challenge:
        """The challenge goes with its first use, whatever comes of it."""
        with self._lock:
            found = self._open.pop(request.nonce, None)
        if found is None or found.instance != request.request.instance:
            raise RequestError("no launch of this server was begun", code="NONCE_UNKNOWN")
        if found.until <= time.monotonic():
            raise RequestError("the launch took too long to measure", code="NONCE_UNKNOWN")
        return found.challenge

    def _report(self, launch: str, state: State, reason: str) -> None:
        self._outbox.update(messages.LaunchUpdate(self.host, launch, state, reason))
