# SPDX-License-Identifier: Apache-2.0
"""Reports that wait on disk, and how they are sent."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from e2etrust_agent.client import reports
from e2etrust_agent.client.protocol import RefusalNote
from e2etrust_agent.client.reports import Report, leave, leave_refusal, waiting
from e2etrust_agent.errors import StateError, VerifierDownError
from e2etrust_agent.outbox import Outbox
from e2etrust_core.evidence.model import Quote
from e2etrust_core.launch import report_binding
from e2etrust_core.messages import LaunchUpdate, Refusal, RemoteRefusal
from e2etrust_core.tpm.errors import TpmError

INSTANCE = "7c0cd5a2-4a7f-4c3e-9d5e-3f1d1b1f2a10"


def note(code: str = "AGENT_DOWN") -> RefusalNote:
    return RefusalNote(INSTANCE, "p1", Refusal(code, "words", "do"), 1.5)


class Verifier:
    def __init__(self) -> None:
        self.told: list[Any] = []
        self.down = False
        self.refusal: RemoteRefusal | None = None

    def report_refusal(self, request: Any) -> None:
        if self.down:
            raise VerifierDownError("down")
        if self.refusal is not None:
            raise self.refusal
        self.told.append(request)

    launch_update = report_refusal


@pytest.fixture
def verifier() -> Verifier:
    return Verifier()


@pytest.fixture
def outbox(tmp_path: Path, verifier: Verifier) -> Outbox:
    return Outbox(tmp_path / "reports", "host1", verifier, vouch)  # type: ignore[arg-type]


def vouch(qualifying: bytes) -> Quote:
    """Show what was signed."""
    return Quote(qualifying, b"", {})


def test_reports_are_sent_in_order_and_go(outbox: Outbox, verifier: Verifier) -> None:
    outbox.refused(note("FIRST"))
    outbox.update(LaunchUpdate("host1", "launch-1", "ended"))
    assert outbox.send_waiting() == 2
    refusal, update = verifier.told
    assert (refusal.host, refusal.refusal.code, refusal.at) == ("host1", "FIRST", 1.5)
    assert update.launch == "launch-1"
    assert len(outbox) == 0


def test_reports_are_signed_for_the_method_they_are_sent_by(
    outbox: Outbox, verifier: Verifier
) -> None:
    outbox.refused(note())
    outbox.update(LaunchUpdate("host1", "launch-1", "ended"))
    outbox.send_waiting()
    for method, told in zip(("report_refusal", "launch_update"), verifier.told, strict=True):
        assert told.proof.attest == report_binding(method, replace(told, proof=None))
    assert len({told.proof.attest for told in verifier.told}) == 2


def test_reports_wait_while_the_tpm_does_not_sign(tmp_path: Path, verifier: Verifier) -> None:
    def broken(_qualifying: bytes) -> Quote:
        raise TpmError("the TPM does not answer")

    outbox = Outbox(tmp_path / "reports", "host1", verifier, broken)  # type: ignore[arg-type]
    outbox.refused(note())
    with pytest.raises(TpmError):
        outbox.send_waiting()
    assert (len(outbox), verifier.told) == (1, [])


def test_reports_stay_while_nobody_answers(outbox: Outbox, verifier: Verifier) -> None:
    outbox.refused(note())
    verifier.down = True
    with pytest.raises(VerifierDownError):
        outbox.send_waiting()
    assert len(outbox) == 1
    verifier.down = False
    assert outbox.send_waiting() == 1


def test_report_that_the_verifier_turns_down_holds_up_nobody(
    outbox: Outbox, verifier: Verifier
) -> None:
    outbox.refused(note())
    verifier.refusal = RemoteRefusal("no", code="INPUT_MALFORMED")
    assert outbox.send_waiting() == 1
    assert len(outbox) == 0


@pytest.mark.parametrize(
    ("code", "retry_after"), [("BUSY", 2.0), ("DATABASE_DOWN", None)], ids=["busy", "database"]
)
def test_reports_wait_for_a_verifier_that_cannot_take_them_now(
    outbox: Outbox, verifier: Verifier, code: str, retry_after: float | None
) -> None:
    outbox.refused(note())
    verifier.refusal = RemoteRefusal("later", code=code)
    verifier.refusal.retry_after = retry_after
    with pytest.raises(RemoteRefusal):
        outbox.send_waiting()
    verifier.refusal = None
    assert (outbox.send_waiting(), len(verifier.told)) == (1, 1)


def test_refusal_left_by_the_hook_is_found(
    tmp_path: Path, outbox: Outbox, verifier: Verifier
) -> None:
    leave_refusal(note("DISK_BUSY"), tmp_path / "reports")
    assert outbox.send_waiting() == 1
    assert verifier.told[0].refusal.code == "DISK_BUSY"


def test_files_are_private(tmp_path: Path) -> None:
    leave_refusal(note(), tmp_path / "reports")
    (found,) = waiting(tmp_path / "reports")
    assert found.path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "reports").stat().st_mode & 0o777 == 0o700


def test_linked_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "reports").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateError):
        leave_refusal(note(), tmp_path / "reports")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_broken_and_linked_reports_are_dropped(tmp_path: Path) -> None:
    directory = tmp_path / "reports"
    leave_refusal(note("GOOD"), directory)
    (directory / "00000000000000000001-00000000.json").write_text("{")
    (directory / "00000000000000000002-00000000.json").symlink_to("/etc/hostname")
    (directory / "notes.txt").write_text("not ours")
    (left,) = waiting(directory)
    assert left.report.refusal is not None
    assert left.report.refusal.refusal.code == "GOOD"
    assert len(list(directory.glob("*.json"))) == 1
    assert (directory / "notes.txt").exists()


def test_report_that_cannot_be_read_now_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_refusal(note(), tmp_path / "reports")

    def no_descriptor_left(*_arguments: Any) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", no_descriptor_left)
        assert waiting(tmp_path / "reports") == []
    assert len(waiting(tmp_path / "reports")) == 1


def test_only_so_many_are_kept_and_the_oldest_go_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "MAX_REPORTS", 3)
    for number in range(5):
        leave(Report(refusal=note(f"R{number}")), tmp_path / "reports")
    codes = [
        w.report.refusal.refusal.code for w in waiting(tmp_path / "reports") if w.report.refusal
    ]
    assert codes == ["R2", "R3", "R4"]
