# SPDX-License-Identifier: Apache-2.0
"""What this host demands for every server on it, left where the libvirt hook looks.

A file, for the hook must know it also when the agent is down.  Whoever removes it is noticed: the
agent counts what then starts without a launch record against the host.
"""

from __future__ import annotations

from pathlib import Path

from e2etrust_agent.client.private_files import private_directory, write_private
from e2etrust_agent.errors import StateError
from e2etrust_core.launch_domain import EVERY_SERVER_FILE


def show_demand(state_dir: Path, every_server: bool) -> None:
    """Leave word that every server demands trust, or take it away.

    :raises StateError: it cannot be left, or *state_dir* is not where the hook looks.
    """
    file = Path(EVERY_SERVER_FILE)
    mine = state_dir / file.name
    if not every_server:
        mine.unlink(missing_ok=True)
        return
    if mine != file:
        raise StateError(
            "[agent] demand = always is not seen by the hook",
            code="DEMAND_NOT_SEEN",
            remedy=f"Set [agent] state_dir to {file.parent}.",
        )
    private_directory(state_dir)
    write_private(mine, b"[agent] demand = always\n")
