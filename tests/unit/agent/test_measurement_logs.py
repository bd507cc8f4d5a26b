# SPDX-License-Identifier: Apache-2.0
"""What systemd measured is read under its lock, where it is there."""

from __future__ import annotations

import fcntl
import threading
from pathlib import Path

import pytest

from e2etrust_agent import measurement_logs
from e2etrust_agent.errors import SystemdLogUnreadableError
from e2etrust_agent.measurement_logs import MeasurementLogs
from e2etrust_core.evidence.model import MAX_LATER_LOG


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "tpm2-measure.log"
    path.write_bytes(b"one")
    return path


def test_host_whose_systemd_measures_nothing_has_no_such_log(tmp_path: Path) -> None:
    assert MeasurementLogs(systemd_log=tmp_path / "none").read_systemd_log() is None
    assert MeasurementLogs().read_systemd_log() is None


def test_record_of_a_measurement_that_is_being_made_is_waited_for(log: Path) -> None:
    """systemd extends the PCR and writes the record while it holds the lock."""
    found: list[bytes | None] = []
    with log.open("ab") as systemd:
        fcntl.flock(systemd, fcntl.LOCK_EX)
        reader = threading.Thread(
            target=lambda: found.append(MeasurementLogs(systemd_log=log).read_systemd_log())
        )
        reader.start()
        assert not found
        systemd.write(b", two")
    reader.join(10)
    assert found == [b"one, two"]


def test_lock_that_is_never_let_go_holds_up_no_attestation(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measurement_logs, "_LOCK_PATIENCE", 0.05)
    with log.open("ab") as systemd:
        fcntl.flock(systemd, fcntl.LOCK_EX)
        assert MeasurementLogs(systemd_log=log).read_systemd_log() == b"one"


def test_log_that_is_longer_than_is_sent_is_left_out(log: Path) -> None:
    log.write_bytes(bytes(MAX_LATER_LOG))
    assert MeasurementLogs(systemd_log=log).read_systemd_log() == bytes(MAX_LATER_LOG)
    log.write_bytes(bytes(MAX_LATER_LOG + 1))
    assert MeasurementLogs(systemd_log=log).read_systemd_log() is None


def test_log_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemdLogUnreadableError) as caught:
        MeasurementLogs(systemd_log=tmp_path).read_systemd_log()
    assert "systemd_log" in caught.value.remedy
