# SPDX-License-Identifier: Apache-2.0
"""Files that the agent keeps for itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2etrust_agent.client.private_files import read_private, write_private
from tests.unit import synced


def test_file_and_its_name_are_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_disk = synced.watch(monkeypatch)
    write_private(tmp_path / "identity.json", b"keys")
    assert [path == tmp_path for path in on_disk] == [False, True]
    assert read_private(tmp_path / "identity.json", 100) == b"keys"
