# SPDX-License-Identifier: Apache-2.0
"""Units and logrotate's file are what systemd and logrotate can read, and name our commands."""

from __future__ import annotations

import re
import shutil
import subprocess
from configparser import ConfigParser
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

import pytest

from e2etrust_verifier.conf.load import DEFAULT_DATABASE

ROOT = Path(__file__).resolve().parents[2]
UNITS = sorted((ROOT / "etc/systemd").glob("*.service"))


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_unit_runs_a_command_of_ours(unit):
    text = unit.read_text()
    command = re.search(r"^ExecStart=/opt/e2etrust/bin/(\S+)(?: (\S+):)?", text, re.MULTILINE)
    assert command is not None
    assert command[1] in {one.name for one in entry_points(group="console_scripts")}
    assert command[1].startswith("e2etrust-") or find_spec(command[2]) is not None


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_finds_nothing_wrong_with_a_unit(unit, tmp_path):
    analyze = shutil.which("systemd-analyze")
    assert analyze, "systemd-analyze is not there: apt install systemd"
    text = re.sub(r"^ExecStart=.*$", "ExecStart=/bin/true", unit.read_text(), flags=re.MULTILINE)
    copied = tmp_path / unit.name
    copied.write_text(text)
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(copied)], capture_output=True, text=True, check=False
    )
    assert unit.name not in done.stderr
    assert done.returncode == 0, done.stderr


def service_of(unit):
    parsed = ConfigParser(strict=False, interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read(unit)
    return parsed["Service"]


def test_agent_and_verifier_of_one_machine_share_no_directory():
    """The agent's are root's and the verifier's another account's: systemd gives them to one."""
    agent, verifier = (
        service_of(ROOT / f"etc/systemd/e2etrust-{name}.service") for name in ("agent", "verifier")
    )
    for kind in ("StateDirectory", "RuntimeDirectory", "LogsDirectory", "CacheDirectory"):
        assert agent.get(kind) is None or agent.get(kind) != verifier.get(kind)
    assert f"/var/lib/{verifier['StateDirectory']}/" in DEFAULT_DATABASE


def test_every_unit_keeps_its_files_to_itself():
    for unit in UNITS:
        service = service_of(unit)
        assert (service["UMask"], service["ProtectSystem"]) == ("0077", "strict")
        assert service["NoNewPrivileges"] == "yes"
        assert service["LimitCORE"] == "0"
        assert service["StateDirectoryMode"] == "0700"


def test_qemu_passes_to_the_views_below_the_agents_directory():
    """QEMU has an account of its own; its disk's base is in /run/e2etrust/disks."""
    service = service_of(ROOT / "etc/systemd/e2etrust-agent.service")
    assert service["RuntimeDirectory"] == "e2etrust"
    # Passing, not listing: what else is there has its own mode.
    assert service["RuntimeDirectoryMode"] == "0711"
