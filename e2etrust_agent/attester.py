# SPDX-License-Identifier: Apache-2.0
"""Takes evidence of this host: quote, event log, IMA list, running domains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from e2etrust_agent.domains import QemuDomain
from e2etrust_agent.errors import StateError
from e2etrust_agent.identity import Identity
from e2etrust_agent.launches import LaunchBook
from e2etrust_core.evidence.model import (
    MAX_EVENT_LOG,
    MAX_IMA_PART,
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


@dataclass(frozen=True, slots=True)
class MeasurementLogs:
    """Where this host's kernel shows what was measured; None: it has no such log."""

    event_log: Path | None = None
    ima_list: Path | None = None

    def read_event_log(self) -> bytes | None:
        """:raises StateError: it cannot be read, or is too long."""
        return _read(self.event_log, 0, MAX_EVENT_LOG, "event log", "event_log")

    def read_ima_list(self, offset: int) -> bytes | None:
        """Return the list from byte *offset* on.

        :raises StateError: it cannot be read, or the rest is too long to send.
        """
        return _read(self.ima_list, offset, MAX_IMA_PART, "IMA list", "ima_list")


def _read(path: Path | None, offset: int, limit: int, what: str, option: str) -> bytes | None:
    if path is None:
        return None
    code = f"{what.upper().replace(' ', '_')}_UNREADABLE"
    try:
        with path.open("rb") as stream:
            stream.seek(offset)
            found = stream.read(limit + 1)
    except OSError as exc:
        remedy = f"Check [agent] {option}."
        raise StateError(
            f"{what} cannot be read: {exc.strerror}", code=code, remedy=remedy
        ) from exc
    if len(found) > limit:
        raise StateError(f"{what} is longer than {limit} bytes", code=code)
    return found


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
        :raises StateError: the event log or IMA list is wanted and cannot be read.
        :raises e2etrust_core.tpm.errors.TpmError: the TPM does not answer or refuses.
        """
        domains = self._book.evidence(self._domains())
        qualifying = binding(challenge.nonce, domains)
        if challenge.event_log:
            log, quote = self._quote_with_log(qualifying, challenge.selection)
        else:
            log, quote = None, self.quote(qualifying, challenge.selection)
        found = HostEvidence(quote=quote, event_log=log, domains=domains)
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
        raise StateError(
            f"the event log grew during each of {_TRIES} quotes",
            code="EVENT_LOG_UNREADABLE",
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
