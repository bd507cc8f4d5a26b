# SPDX-License-Identifier: Apache-2.0
"""[agent] demand, left where the hook looks."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2etrust_agent import host_demand
from e2etrust_agent.conf import opts
from e2etrust_agent.errors import StateError
from e2etrust_agent.host_demand import show_demand
from e2etrust_core.launch_domain import EVERY_SERVER_FILE


@pytest.fixture
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(host_demand, "EVERY_SERVER_FILE", str(tmp_path / "every-server"))
    return tmp_path


def test_word_is_left_and_taken_away_again(state_dir: Path) -> None:
    show_demand(state_dir, every_server=True)
    show_demand(state_dir, every_server=True)
    assert [path.name for path in state_dir.iterdir()] == ["every-server"]
    show_demand(state_dir, every_server=False)
    show_demand(state_dir, every_server=False)
    assert list(state_dir.iterdir()) == []


def test_agent_whose_word_the_hook_would_not_see_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(StateError) as caught:
        show_demand(tmp_path, every_server=True)
    assert caught.value.code == "DEMAND_NOT_SEEN"
    assert list(tmp_path.iterdir()) == []


def test_hook_looks_into_the_default_state_directory() -> None:
    default = {opt.dest: opt.default for opt in opts.agent.AGENT_OPTS}["state_dir"]
    assert Path(EVERY_SERVER_FILE).parent == Path(default)
