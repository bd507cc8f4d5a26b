# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from e2etrust_agent.cmd import agent
from e2etrust_nova.hook import gate
from e2etrust_verifier.cmd import verifier

CRASH = """
import os, resource, signal
resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
{sealed}
os.kill(os.getpid(), signal.SIGSEGV)
"""
SEALED = "from e2etrust_core.no_dumps import leave_no_core; leave_no_core()"


def dumps(tmp_path, sealed: str) -> bool:
    """Whether a process that crashes leaves its memory behind, as its parent is told."""
    command = [sys.executable, "-c", CRASH.format(sealed=sealed)]
    process = subprocess.Popen(command, cwd=tmp_path)
    _, status = os.waitpid(process.pid, 0)
    process.returncode = status  # it was waited for here
    assert os.WTERMSIG(status) == signal.SIGSEGV
    return os.WCOREDUMP(status)


def test_process_that_crashes_leaves_no_memory_behind(tmp_path):
    assert not dumps(tmp_path, SEALED)


class Sealed(Exception):
    """Raised in place of sealing, so that nothing after it runs."""


@pytest.mark.parametrize(
    ("module", "run"),
    [
        (agent, lambda: agent.main([])),
        (verifier, verifier.main),
        (gate, lambda: gate.Gate(None).prepare(None, None, None)),
    ],
    ids=["agent", "verifier", "hook"],
)
def test_whatever_an_image_key_passes_through_is_sealed_before_all_else(monkeypatch, module, run):
    def sealed() -> None:
        raise Sealed

    monkeypatch.setattr(sys, "argv", ["command"])
    monkeypatch.setattr(module, "leave_no_core", sealed)
    with pytest.raises(Sealed):
        run()
