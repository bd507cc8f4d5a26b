# SPDX-License-Identifier: Apache-2.0
"""Takes evidence of this host: quote, event log, running domains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from e2etrust_agent.domains import QemuDomain
from e2etrust_agent.errors import StateError
from e2etrust_agent.identity import Identity
from e2etrust_agent.launches import LaunchBook
from e2etrust_core.evidence.model import (
    MAX_EVENT_LOG,
    HostEvidence,
    PcrSelection,
    Quote,
    RunningDomain,
)
from e2etrust_core.messages import Challenge, WrappedKey
from e2etrust_core.suites import suite
from e2etrust_core.tpm.credential import activate_credential
from e2etrust_core.tpm.device import Tpm
from e2etrust_core.tpm.key_unwrap import unwrap_key
from e2etrust_core.tpm.quote import take_quote

Binding = Callable[[bytes, list[RunningDomain]], bytes]


class Attester:
    """This host's TPM with its identity.  Threads may share it; the TPM serves one at a time."""

    def __init__(
        self,
        tpm: Tpm,
        identity: Identity,
        event_log: Path | None,
        domains: Callable[[], list[QemuDomain]],
        book: LaunchBook,
    ) -> None:
        self._tpm = tpm
        self._event_log = event_log
        self._domains = domains
        self._book = book
        self.identity = identity

    def evidence(self, challenge: Challenge, binding: Binding) -> HostEvidence:
        """Answer *challenge*; ``binding(nonce, domains)`` gives the quote's qualifying data.

        :raises DomainsUnreadableError: what runs here is not known, so nothing is claimed.
        :raises StateError: the event log is wanted and cannot be read.
        :raises e2etrust_core.tpm.errors.TpmError: the TPM does not answer or refuses.
        """
        domains = self._book.evidence(self._domains())
        log = self._read_event_log() if challenge.event_log else None
        quote = self.quote(binding(challenge.nonce, domains), challenge.selection)
        return HostEvidence(quote=quote, event_log=log, domains=domains)

    def quote(self, qualifying: bytes, selection: PcrSelection) -> Quote:
        """TPM2_Quote by this host's attestation key.

        :raises e2etrust_core.tpm.errors.TpmError: the TPM does not answer or refuses.
        """
        return take_quote(self._tpm, self.identity.ak, qualifying, selection)

    def vouch(self, qualifying: bytes) -> Quote:
        """Say *qualifying* by this host's attestation key.

        The key is restricted, it signs only what the TPM itself made: a quote.  PCR 0 goes with
        it because a quote has to be of something.

        :raises e2etrust_core.tpm.errors.TpmError: the TPM does not answer or refuses.
        """
        return self.quote(qualifying, {suite(self.identity.ak.suite).hash.name: [0]})

    def activate(self, credential_blob: bytes, encrypted_secret: bytes) -> bytes:
        """Answer an enrolment's credential challenge.

        :raises e2etrust_core.tpm.errors.CredentialRefused: made for another EK or AK.
        """
        return activate_credential(self._tpm, self.identity.ak, credential_blob, encrypted_secret)

    def unwrap(self, wrapped: WrappedKey) -> bytes:
        """Open an image key that was wrapped for this TPM and its PCRs.

        :raises e2etrust_core.tpm.errors.UnwrapRefused: another TPM's, or the PCRs changed.
        """
        return unwrap_key(self._tpm, self.identity.ak.ek_kind, wrapped)

    def _read_event_log(self) -> bytes | None:
        if self._event_log is None:
            return None
        try:
            with open(self._event_log, "rb") as stream:
                log = stream.read(MAX_EVENT_LOG + 1)
        except OSError as exc:
            raise StateError(
                f"event log cannot be read: {exc.strerror}",
                code="EVENT_LOG_UNREADABLE",
                remedy="Check [agent] event_log.",
            ) from exc
        if len(log) > MAX_EVENT_LOG:
            raise StateError("event log is too large", code="EVENT_LOG_UNREADABLE")
        return log
