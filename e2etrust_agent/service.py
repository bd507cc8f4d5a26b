# SPDX-License-Identifier: Apache-2.0
"""The agent put together: who serves whom, and in which order it starts and ends."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial

import oslo_messaging
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential_jitter
from tenacity.nap import sleep_using_event

from e2etrust_agent.attestation import AttestationLoop
from e2etrust_agent.attester import Attester
from e2etrust_agent.backoff import Backoff
from e2etrust_agent.client import protocol
from e2etrust_agent.conf.opts import Settings
from e2etrust_agent.domains import find_domain, running_domains
from e2etrust_agent.guest import GuestRelay
from e2etrust_agent.guest_channel import QemuGuestAgent
from e2etrust_agent.host_demand import show_demand
from e2etrust_agent.identity import Identity, load_or_create
from e2etrust_agent.launches import LaunchBook
from e2etrust_agent.launching import Launching
from e2etrust_agent.outbox import Outbox
from e2etrust_agent.rpc_server import AgentEndpoint, rpc_server
from e2etrust_agent.socket_server import Operation, SocketServer
from e2etrust_agent.standing import StandingBoard
from e2etrust_agent.verifier_bus import VerifierBus
from e2etrust_core.errors import E2ETrustError
from e2etrust_core.signed_answer import PinnedKeys
from e2etrust_core.suites import TPM_ALG_SM2, suite
from e2etrust_core.tpm.device import Tpm, open_tpm

LOG = logging.getLogger(__name__)

#: Seconds that each part gets to end.
STOP_TIMEOUT = 5.0
#: Seconds between looks for launches whose process is gone.
SWEEP_INTERVAL = 10.0


class AgentService:
    """The running agent."""

    def __init__(self, settings: Settings, transport: oslo_messaging.Transport) -> None:
        self._settings = settings
        self._transport = transport
        self._stop = threading.Event()
        self._board = StandingBoard()
        self._verifier = VerifierBus(transport, settings.rpc_timeout, _pinned(settings))
        self._attestation: AttestationLoop | None = None

    def stop(self) -> None:
        """Ask the agent to end; safe in a signal handler."""
        self._stop.set()

    def attest_now(self) -> None:
        """Ask for an attestation; safe in a signal handler."""
        if self._attestation is not None:
            self._attestation.wake()

    def run(self) -> None:
        """Serve until :meth:`stop`.

        :raises E2ETrustError: the socket or the state directory cannot be used.
        """
        settings = self._settings
        # First of all: the hook must know it also while the TPM is still waited for.
        show_demand(settings.state_dir, settings.every_server)
        with open_tpm(settings.tcti) as tpm:
            identity = self._identity(tpm)
            if identity is not None:
                self._serve(tpm, identity)

    def _identity(self, tpm: Tpm) -> Identity | None:
        """This host's identity, waited for as long as the TPM or its key is missing."""
        settings = self._settings
        retrying = Retrying(
            retry=retry_if_exception_type(E2ETrustError),
            wait=wait_exponential_jitter(
                initial=settings.retry_interval, max=settings.retry_interval_max
            ),
            stop=lambda _: self._stop.is_set(),
            sleep=sleep_using_event(self._stop),
            before_sleep=self._log_no_identity,
            retry_error_callback=lambda _: None,
        )
        return retrying(
            load_or_create, tpm, settings.host, settings.suite, settings.state_dir, settings.ek
        )

    def _log_no_identity(self, state: RetryCallState) -> None:
        problem = state.outcome.exception() if state.outcome is not None else None
        if isinstance(problem, E2ETrustError):
            LOG.error("this host cannot prove who it is: %s %s", problem, problem.remedy)

    def _serve(self, tpm: Tpm, identity: Identity) -> None:
        settings = self._settings
        book = LaunchBook(settings.state_dir / "launches.json", settings.start_grace)
        list_domains = partial(running_domains, settings.domain_status_dir, settings.every_server)
        find = partial(find_domain, settings.domain_status_dir)
        attester = Attester(tpm, identity, settings.logs, list_domains, book)
        outbox = Outbox(
            settings.state_dir / "reports", settings.host, self._verifier, attester.vouch
        )
        attestation = self._attestation = AttestationLoop(
            attester,
            self._verifier,
            self._board,
            Backoff(settings.retry_interval, settings.retry_interval_max),
            settings.start_jitter,
        )
        launching = Launching(attester, self._verifier, attestation, book, outbox, find)
        channel = QemuGuestAgent(settings.libvirt_uri, settings.guest_timeout)
        relay = GuestRelay(attester, book, find, channel)
        socket = SocketServer(
            settings.socket, self._operations(launching, attestation, book, outbox)
        )
        rpc = rpc_server(self._transport, settings.host, AgentEndpoint(relay.evidence))
        socket.start()
        attestation.start()
        outbox.start()
        starter = threading.Thread(target=rpc.start, name="rpc", daemon=True)
        starter.start()  # waits for the broker, and the socket must not
        LOG.info("agent of host %s serves on %s", settings.host, settings.socket)
        try:
            self._watch(launching)
        finally:
            LOG.info("agent ends")
            socket.stop(STOP_TIMEOUT)
            attestation.stop(STOP_TIMEOUT)
            outbox.stop(STOP_TIMEOUT)
            _stop_rpc(rpc, starter)

    def _watch(self, launching: Launching) -> None:
        while not self._stop.wait(SWEEP_INTERVAL):
            try:
                launching.sweep()
            except (E2ETrustError, OSError) as exc:
                LOG.error("launches cannot be kept: %s", exc)

    def _operations(
        self,
        launching: Launching,
        attestation: AttestationLoop,
        book: LaunchBook,
        outbox: Outbox,
    ) -> dict[str, Operation]:
        return {
            "launch_begin": Operation(launching.begin, protocol.LaunchBegin),
            "launch_finish": Operation(launching.finish, protocol.LaunchFinish),
            "started": Operation(launching.started, protocol.LaunchStarted),
            "ended": Operation(launching.ended, protocol.LaunchEnd),
            "failed": Operation(launching.failed, protocol.LaunchEnd),
            "refused": Operation(launching.refused, protocol.RefusalNote),
            "status": Operation(partial(self._status, book, outbox)),
            "attest": Operation(_attest(attestation)),
        }

    def _status(self, book: LaunchBook, outbox: Outbox) -> protocol.AgentStatus:
        standing = self._board.read()
        left = standing.seconds_left
        return protocol.AgentStatus(
            host=self._settings.host,
            enrolled=standing.enrolled,
            lease=standing.lease if left > 0 else None,
            lease_seconds=left,
            problem=standing.problem,
            launches=len(book),
            reports_waiting=len(outbox),
        )


def _pinned(settings: Settings) -> PinnedKeys | None:
    if settings.verifier_keys is None:
        LOG.warning(
            "[agent] verifier_keys names no file: whoever may write to the message bus can answer"
            " in the verifier's place"
        )
        return None
    chinese = suite(settings.suite).scheme == TPM_ALG_SM2
    return PinnedKeys(settings.verifier_keys, chinese=chinese)


def _attest(attestation: AttestationLoop) -> Callable[[], protocol.AttestSummary]:
    def attest() -> protocol.AttestSummary:
        result = attestation.attest()
        failed = [check for check in result.checks if check.outcome != "pass"]
        return protocol.AttestSummary(
            result.trusted, result.lease.id if result.lease is not None else None, failed
        )

    return attest


def _stop_rpc(rpc: oslo_messaging.MessageHandlingServer, starter: threading.Thread) -> None:
    """Ends the RPC server if the broker ever let it start; stop() would wait for start()."""
    starter.join(0)
    if not starter.is_alive():
        rpc.stop()
