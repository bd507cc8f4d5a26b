# SPDX-License-Identifier: Apache-2.0
"""Takes evidence of this host: quote, measurement logs, running domains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from e2etrust_agent.domains import QemuDomain
from e2etrust_agent.errors import EventLogUnreadableError
from e2etrust_agent.identity import Identity
from e2etrust_agent.launches import LaunchBook
from e2etrust_agent.measurement_logs import MeasurementLogs
from e2etrust_core.evidence.model import (
    HostEvidence,
    PcrSelection,
    Quote,
    RunningDomain,
)
from e2etrust_core.evidence.tpm_structures import decode_quote
from e2etrust_core.messages import Challenge, ImaFrom, WrappedKey
from e2etrust_core.suites import suite
from e2etrust_core.tpm.credential import activate_credential
from e2etrust_core.tpm.device import Tpm
from e2etrust_core.tpm.ek_nv import read_ek_chain
from e2etrust_core.tpm.key_unwrap import unwrap_key
from e2etrust_core.tpm.quote import take_quote
from e2etrust_core.tpm.salt_key import KnownHost

#: Quotes taken until the event log stood still during one.
_TRIES = 5

Binding = Callable[[bytes, list[RunningDomain]], bytes]


class Attester:
    """This host's TPM with its identity.  Threads may share it; the TPM serves one at a time."""

    def __init__(
        self,
        tpm: Tpm,
        identity: Identity,
        logs: MeasurementLogs,
        domains: Callable[[], list[QemuDomain]],
        book: LaunchBook,
    ) -> None:
        self._tpm = tpm
        self._logs = logs
        self._domains = domains
        self._book = book
        self.identity = identity

    def evidence(self, challenge: Challenge, binding: Binding) -> HostEvidence:
        """Answer *challenge*; ``binding(nonce, domains)`` gives the quote's qualifying data.

        :raises DomainsUnreadableError: what runs here is not known, so nothing is claimed.
        :raises StateError: a log that is wanted cannot be read.
        :raises e2etrust_core.tpm.errors.TpmError: the TPM does not answer or refuses.
        """
        domains = self._book.evidence(self._domains())
        qualifying = binding(challenge.nonce, domains)
        if challenge.event_log:
            log, quote = self._quote_with_log(qualifying, challenge.selection)
            later = self._logs.read_systemd_log()
        else:
            log, quote, later = None, self.quote(qualifying, challenge.selection), None
        found = HostEvidence(quote=quote, event_log=log, domains=domains, later_log=later)
        return found if challenge.ima is None else self._with_ima(found, challenge.ima)

    def _quote_with_log(
        self, qualifying: bytes, selection: PcrSelection
    ) -> tuple[bytes | None, Quote]:
        """Quote while the event log stands still: what is measured meanwhile condemns nobody."""
        log = self._logs.read_event_log()
        for _ in range(_TRIES):
            quote = self.quote(qualifying, selection)
            before, log = log, self._logs.read_event_log()
            if log == before:
                return log, quote
        raise EventLogUnreadableError(
            f"the event log grew during each of {_TRIES} quotes",
            remedy="Find out what measures into it all the time; the agent tries again.",
        )

    def _with_ima(self, evidence: HostEvidence, known: ImaFrom) -> HostEvidence:
        """Add the list, read after the quote: it then holds all that the quote covers."""
        boot = decode_quote(evidence.quote.attest).clock_info.reset_count
        offset = known.offset if boot == known.reset_count else 0
        return replace(evidence, ima=self._logs.read_ima_list(offset), ima_from=offset)

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

    def ek_chain(self) -> bytes:
        """Return what the TPM carries to vouch for its EK's certificate.

        :raises e2etrust_core.tpm.errors.TpmError: the TPM does not answer.
        """
        return read_ek_chain(self._tpm)

    def activate(self, credential_blob: bytes, encrypted_secret: bytes) -> bytes:
        """Answer an enrolment's credential challenge.

        :raises e2etrust_core.tpm.errors.CredentialRefused: made for another EK or AK.
        """
        return activate_credential(self._tpm, self._known, credential_blob, encrypted_secret)

    def unwrap(self, wrapped: WrappedKey) -> bytes:
        """Open an image key that was wrapped for this TPM and its PCRs.

        :raises e2etrust_core.tpm.errors.UnwrapRefused: another TPM's, or the PCRs changed.
        """
        return unwrap_key(self._tpm, self._known, wrapped)

    @property
    def _known(self) -> KnownHost:
        return KnownHost(self.identity.ak, self.identity.ek_public)
