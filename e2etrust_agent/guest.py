# SPDX-License-Identifier: Apache-2.0
"""Flow 5, verify: a guest's vTPM quote, and this host's quote over it at the same moment."""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from e2etrust_agent.attester import Attester
from e2etrust_agent.domains import QemuDomain
from e2etrust_agent.errors import GuestError, RequestError
from e2etrust_agent.guest_channel import MAX_OUTPUT, GuestChannel
from e2etrust_agent.launches import LaunchBook
from e2etrust_core import wire
from e2etrust_core.errors import InputError
from e2etrust_core.evidence.model import GuestEvidence, GuestIdentity, PcrSelection, Quote
from e2etrust_core.launch import server_binding
from e2etrust_core.messages import GuestAsk, ServerEvidence

#: ``guest/e2etrust-guest-evidence`` as it is installed in a guest.
PROGRAM = "/usr/lib/e2etrust/guest-evidence"
#: What the host's quote covers where the launch's own selection is not known.
HOST_PCRS: PcrSelection = {"sha256": list(range(10))}
MAX_NONCE = 32

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Identity:
    """Answer of ``guest-evidence identity``."""

    ek_public: bytes
    ak_public: bytes
    event_log: bytes
    ek_certificate: bytes | None = None


@dataclass(frozen=True, slots=True)
class _Quote:
    """Answer of ``guest-evidence quote``; PCR values and ``activated`` are hex."""

    attest: bytes
    signature: bytes
    pcrs: dict[str, dict[int, str]]
    activated: str | None = None


class GuestRelay:
    """Collects a server's evidence for a tenant who asked for it."""

    def __init__(
        self,
        attester: Attester,
        book: LaunchBook,
        find_domain: Callable[[str], QemuDomain | None],
        channel: GuestChannel,
    ) -> None:
        self._attester = attester
        self._book = book
        self._find_domain = find_domain
        self._channel = channel
        # However many tenants ask: the host's own attestation waits for one of their quotes only.
        self._one_quote = threading.Lock()

    def evidence(self, ask: GuestAsk) -> ServerEvidence:
        """Return the guest's keys; with a credential also its quote and the host's over it.

        :raises RequestError: code NO_LAUNCH: the server does not run here by a granted launch.
        :raises GuestError: the guest does not answer, or not in the right form.
        """
        if not 8 <= len(ask.nonce) <= MAX_NONCE:
            raise RequestError(f"the nonce must have 8 to {MAX_NONCE} bytes")
        launch = self._launch(ask.instance)
        told = self._ask_guest(_Identity, ask.instance, "identity")
        identity = GuestIdentity(told.ek_public, told.ak_public, told.ek_certificate)
        host = self._attester.identity.host
        if ask.credential_blob is None or ask.encrypted_secret is None:
            return ServerEvidence(host, launch, identity)
        quoted = self._ask_guest(
            _Quote,
            ask.instance,
            "quote",
            ask.nonce.hex(),
            base64.b64encode(ask.credential_blob).decode(),
            base64.b64encode(ask.encrypted_secret).decode(),
        )
        guest = _guest_evidence(identity, quoted, told.event_log)
        selection = self._book.selection_of(launch) or HOST_PCRS
        with self._one_quote:
            quote = self._attester.quote(server_binding(ask.nonce, launch, guest), selection)
        if self._launch(ask.instance) != launch:
            raise RequestError("the server was started anew meanwhile", code="NO_LAUNCH")
        return ServerEvidence(host, launch, identity, guest, quote)

    def _launch(self, instance: str) -> str:
        domain = self._find_domain(instance)
        launch = self._book.launch_of(domain) if domain is not None else None
        if launch is None:
            raise RequestError(
                "the server does not run on this host by a granted launch",
                code="NO_LAUNCH",
                remedy="Stop and start the server.",
            )
        return launch

    def _ask_guest(self, kind: type[T], instance: str, *arguments: str) -> T:
        output = self._channel.run(instance, [PROGRAM, *arguments])
        try:
            return wire.from_json(kind, output, MAX_OUTPUT)
        except InputError:
            raise GuestError(
                "the guest's evidence is not of the form it must have", code="GUEST_MALFORMED"
            ) from None


def _guest_evidence(identity: GuestIdentity, quoted: _Quote, event_log: bytes) -> GuestEvidence:
    try:
        pcrs = {
            bank: {index: bytes.fromhex(value) for index, value in values.items()}
            for bank, values in quoted.pcrs.items()
        }
        activated = bytes.fromhex(quoted.activated) if quoted.activated is not None else None
    except (ValueError, binascii.Error):
        raise GuestError("the guest's values are not hex", code="GUEST_MALFORMED") from None
    quote = Quote(quoted.attest, quoted.signature, pcrs)
    return GuestEvidence(identity, quote, event_log, activated)
