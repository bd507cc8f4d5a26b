# SPDX-License-Identifier: Apache-2.0
"""Sends what must reach the verifier in the end: refusals and the course of launches."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from e2etrust_agent.client.protocol import RefusalNote
from e2etrust_agent.client.reports import Report, Waiting, leave, waiting
from e2etrust_agent.errors import VerifierDownError
from e2etrust_agent.verifier_bus import VerifierBus
from e2etrust_core import messages
from e2etrust_core.errors import E2ETrustError
from e2etrust_core.evidence.model import Quote
from e2etrust_core.launch import report_binding

LOG = logging.getLogger(__name__)

#: The verifier's word that it cannot write anything down now.
_DATABASE_DOWN = "DATABASE_DOWN"
#: Seconds between looks at the directory, where the hook leaves reports while we are down.
INTERVAL = 10.0


class Outbox:
    """Reports on disk, sent in order by a thread; a report goes only when it was taken.

    ``vouch`` signs a report as it is sent, by the attestation key that the host has then.
    """

    def __init__(
        self, directory: Path, host: str, verifier: VerifierBus, vouch: Callable[[bytes], Quote]
    ) -> None:
        self._directory = directory
        self._vouch = vouch
        self._host = host
        self._verifier = verifier
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> None:
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout)

    def __len__(self) -> int:
        return len(waiting(self._directory))

    def refused(self, note: RefusalNote) -> None:
        """:raises StateError: the report cannot be kept."""
        self._leave(Report(refusal=note))

    def update(self, update: messages.LaunchUpdate) -> None:
        """:raises StateError: the report cannot be kept."""
        self._leave(Report(update=update))

    def send_waiting(self) -> int:
        """Send what waits; return how many were taken or turned down for good.

        :raises VerifierDownError: nobody answers; what is left waits on.
        :raises RemoteRefusal: the verifier can take nothing now; what is left waits on.
        :raises e2etrust_core.tpm.errors.TpmError: the TPM does not sign; what is left waits on.
        """
        done = 0
        for entry in waiting(self._directory):
            self._send(entry)
            entry.path.unlink(missing_ok=True)
            done += 1
        return done

    def _leave(self, report: Report) -> None:
        leave(report, self._directory)
        self._wake.set()

    def _send(self, entry: Waiting) -> None:
        report = entry.report
        try:
            if report.refusal is not None:
                note = report.refusal
                told = messages.RefusalReport(
                    self._host, note.instance, note.project, note.refusal, note.at
                )
                proof = self._vouch(report_binding("report_refusal", told))
                self._verifier.report_refusal(replace(told, proof=proof))
            if report.update is not None:
                proof = self._vouch(report_binding("launch_update", report.update))
                self._verifier.launch_update(replace(report.update, proof=proof))
        except messages.RemoteRefusal as exc:
            if exc.retry_after is not None or exc.code == _DATABASE_DOWN:
                raise
            # Sending it again would be refused again, and would hold up all that follow.
            LOG.warning("the verifier does not take a report: %s", exc)

    def _run(self) -> None:
        while not self._stopping:
            try:
                self.send_waiting()
            except VerifierDownError:
                pass  # the attestation loop tells of it
            except (E2ETrustError, OSError) as exc:
                LOG.error("reports cannot be sent: %s", exc)
            except Exception:
                LOG.exception("reports cannot be sent")
            self._wake.wait(INTERVAL)
            self._wake.clear()
