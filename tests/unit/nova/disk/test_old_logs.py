# SPDX-License-Identifier: Apache-2.0
"""Logs of servers that are gone do not pile up, and those that somebody may want to read stay."""

import logging
import os
import time

import pytest

from e2etrust_nova.disk import AttachRequest, main, mounts, order

GONE, SERVED, STARTING = (f"{n}1111111-2222-3333-4444-555555555555" for n in range(3))
DAY = 86400


@pytest.fixture
def logs(tmp_path, monkeypatch):
    """A start beside logs of other servers; returns what is there behind it."""
    monkeypatch.setattr(mounts, "views", lambda: [mounts.View(SERVED, tmp_path)])
    monkeypatch.setattr(logging, "basicConfig", lambda stream, **_: stream.close())

    def left(*files, days=31):
        for name in files:
            (tmp_path / name).touch()
            then = time.time() - days * DAY
            os.utime(tmp_path / name, (then, then), follow_symlinks=False)
        own = tmp_path / f"disk-{STARTING}.log"
        request = AttachRequest(STARTING, tmp_path, tmp_path, b"", own)
        main._start_log(order.Order(request, tmp_path))
        assert own.exists()
        return [name for name in files if os.path.lexists(tmp_path / name)]

    return left


def test_log_of_a_server_that_is_gone_for_a_month_goes_with_its_rotated_ones(logs):
    assert logs(f"disk-{GONE}.log", f"disk-{GONE}.log.1", f"disk-{GONE}.log.2.gz") == []


def test_log_of_a_start_that_failed_stays_for_a_month(logs):
    assert logs(f"disk-{GONE}.log", days=29) == [f"disk-{GONE}.log"]


@pytest.mark.parametrize("name", [f"disk-{SERVED}.log", "agent.log", "disk-x.log", f"disk-{GONE}"])
def test_log_of_a_server_that_runs_stays_and_so_do_files_of_others(logs, name):
    assert logs(name) == [name]


def test_link_goes_and_not_what_it_leads_to(logs, tmp_path):
    (tmp_path / "kept").touch()
    (tmp_path / f"disk-{GONE}.log").symlink_to(tmp_path / "kept")
    assert logs(f"disk-{GONE}.log") == []
    assert (tmp_path / "kept").exists()
