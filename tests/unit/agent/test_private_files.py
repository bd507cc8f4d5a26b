# SPDX-License-Identifier: Apache-2.0
"""Files that the agent keeps for itself."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from e2etrust_agent.client.private_files import private_directory, read_private, write_private
from tests.unit import synced


def test_file_and_its_name_are_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_disk = synced.watch(monkeypatch)
    write_private(tmp_path / "identity.json", b"keys")
    assert [path == tmp_path for path in on_disk] == [False, True]
    assert read_private(tmp_path / "identity.json", 100) == b"keys"


def left_behind(path: Path, *, minutes: float = 60) -> Path:
    """Put something at *path* that is as old as that."""
    path.touch()
    then = time.time() - minutes * 60
    os.utime(path, (then, then), follow_symlinks=False)
    return path


def test_what_a_crash_left_half_written_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "rename", crash)
    with pytest.raises(KeyboardInterrupt):
        write_private(tmp_path / "identity.json", b"keys")
    (half,) = tmp_path.iterdir()
    private_directory(tmp_path)
    assert half.exists(), "it may still be written to"
    left_behind(half)
    private_directory(tmp_path)
    assert not half.exists()


@pytest.mark.parametrize(
    "name", ["identity.json", ".identity.json", ".identity.json.1f2e", "x.1f2e3d4c", ".1f2e3d4c"]
)
def test_nothing_else_is_taken_for_half_written(tmp_path: Path, name: str) -> None:
    kept = left_behind(tmp_path / name)
    private_directory(tmp_path)
    assert kept.exists()


def test_link_that_is_named_so_leads_to_nothing_that_is_removed(tmp_path: Path) -> None:
    directory = tmp_path / "private"
    private_directory(directory)
    (tmp_path / "kept").touch()
    link = directory / ".identity.json.1f2e3d4c"
    link.symlink_to(tmp_path / "kept")
    left_behind(link)
    private_directory(directory)
    assert not link.is_symlink()
    assert (tmp_path / "kept").exists()
