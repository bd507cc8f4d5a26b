# SPDX-License-Identifier: Apache-2.0
"""``e2etrust-manage db purge``: what it says, and its exit status."""

from __future__ import annotations

import json
import shutil

import pytest
from oslo_config import cfg

from e2etrust_verifier import conf as configuration
from e2etrust_verifier.cmd import manage
from e2etrust_verifier.db.database import Database
from tests.unit import synced
from tests.unit.verifier import history


@pytest.fixture
def purge(tmp_path, migrated, monkeypatch, capsys):
    """Run the command on a database with 17 old rows; return status, rows and what was said."""
    load = configuration.load
    monkeypatch.setattr(configuration, "load", lambda files: load(files, cfg.ConfigOpts()))
    path = tmp_path / "verifier.conf"
    path.touch(mode=0o600)
    path.write_text(f"[database]\nconnection = sqlite:///{tmp_path}/v.sqlite\n")
    shutil.copy(migrated, tmp_path / "v.sqlite")
    database = Database(configuration.load([str(path)]))
    database.write(history.fill)
    database.dispose()

    def run(*words):
        command = ["--config-file", str(path), "db", "purge", "-f", "json", *words]
        status = manage.main(command)
        told = capsys.readouterr()
        rows = json.loads(told.out) if told.out else []
        return status, sum(one["rows"] for one in rows), told.err

    return run


def test_status_says_whether_older_rows_are_left(purge):
    assert purge("--older-than", "30", "--dry-run")[:2] == (0, 17)
    assert purge("--older-than", "30", "--max-rows", "10")[:2] == (1, 10)
    assert purge("--older-than", "30", "--max-rows", "10")[:2] == (0, 7)
    assert purge("--older-than", "30") == (0, 0, "")


def test_archive_that_cannot_be_written_keeps_the_rows(purge, tmp_path):
    status, _, said = purge("--older-than", "30", "--archive", str(tmp_path / "none" / "file"))
    assert status == 255
    assert "ARCHIVE_UNUSABLE" in said
    assert purge("--older-than", "30", "--dry-run")[1] == 17


def test_line_that_was_cut_off_spoils_no_other(purge, tmp_path, monkeypatch):
    archive = tmp_path / "archive"
    archive.write_text('{"table": "eve')
    on_disk = synced.watch(monkeypatch)
    assert purge("--older-than", "30", "--archive", str(archive))[:2] == (0, 17)
    assert len([json.loads(line) for line in archive.read_text().splitlines()[1:]]) == 17
    assert tmp_path in on_disk


@pytest.mark.parametrize("words", [[], ["--older-than", "0"], ["--older-than", "x"]])
def test_wrong_use_is_said(purge, words):
    with pytest.raises(SystemExit) as ended:
        purge(*words)
    assert ended.value.code == 2


def test_database_without_the_schema_is_a_failure_and_not_more_to_do(purge, tmp_path):
    (tmp_path / "v.sqlite").unlink()
    status, _, said = purge("--older-than", "30")
    assert status == 255
    assert "SCHEMA_OLD" in said
