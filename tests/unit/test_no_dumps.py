# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys

import pytest

from e2etrust_agent.cmd import agent
from e2etrust_nova.hook import gate
from e2etrust_verifier.cmd import verifier

TOLD = """
import ctypes, resource
{sealed}
print(resource.getrlimit(resource.RLIMIT_CORE)[0], ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""
SEALED = "from e2etrust_core.no_dumps import leave_no_core; leave_no_core()"


def told(sealed: str) -> list[str]:
    """Return a process's limit of core dumps and whether it can be dumped (PR_GET_DUMPABLE)."""
    command = [sys.executable, "-c", TOLD.format(sealed=sealed)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def test_process_that_is_sealed_leaves_no_memory_behind_when_it_crashes():
    assert told("pass")[1] == "1"
    assert told(SEALED) == ["0", "0"]


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
