# SPDX-License-Identifier: Apache-2.0
"""Detach on a process that stands for a keeper in its last moments."""

from __future__ import annotations

import subprocess
import sys
import uuid

from e2etrust_nova.disk import control, mounts
from e2etrust_nova.disk.model import Places

_STAND_IN = "import time; print('there', flush=True); time.sleep(0.7)"


def test_detach_waits_for_a_keeper_that_has_taken_its_pid_file_along(tmp_path, monkeypatch):
    places = Places(tmp_path, str(uuid.uuid4()))
    places.directory.mkdir()
    # Known by its words, as a keeper is.
    words = [control._MODULE, places.instance]
    keeper = subprocess.Popen([sys.executable, "-c", _STAND_IN, *words], stdout=subprocess.PIPE)
    assert keeper.stdout is not None
    # A process that has just been started shows no words yet; a keeper writes its file later.
    assert keeper.stdout.readline() == b"there\n"
    places.pid_file.write_text(f"{keeper.pid}\n")

    def views(_instance):
        """The views are gone, so the keeper takes its file along and is about to end."""
        places.pid_file.unlink(missing_ok=True)
        return []

    monkeypatch.setattr(mounts, "views", views)
    control._take_down(places)
    try:
        assert keeper.poll() == 0
    finally:
        keeper.kill()
        keeper.wait()
        keeper.stdout.close()
    assert not places.directory.exists()
