# SPDX-License-Identifier: Apache-2.0
"""AppArmor rules, compiled inside the profiles that libvirt's own package brings."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SNIPPETS = sorted((ROOT / "etc/apparmor.d/local").iterdir())
SYSTEM = Path("/etc/apparmor.d")
HOOK = "/opt/e2etrust/bin/e2etrust-libvirt-hook"


def parser() -> str:
    found = shutil.which("apparmor_parser", path="/usr/sbin:/sbin")
    if found is None:
        pytest.skip("apparmor_parser is not there: apt install apparmor")
    return found


def compiled(base: Path, profile: Path) -> bytes:
    """Compile without loading: -S writes the policy to stdout and never asks the kernel."""
    done = subprocess.run(
        [parser(), "-S", "-K", "--base", str(base), str(profile)], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def profile_of(snippet: Path) -> Path:
    found = SYSTEM / snippet.name
    if not found.exists():
        pytest.skip(f"{found} is not there: no package of this machine brings that profile")
    return found


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """A copy of the machine's profiles, without what its operator put into local/."""
    parser()
    if not SYSTEM.is_dir():
        pytest.skip(f"{SYSTEM} is not there: apt install apparmor libvirt-daemon-system")
    base = tmp_path / "apparmor.d"
    shutil.copytree(SYSTEM, base, symlinks=True, ignore=shutil.ignore_patterns("local", "cache"))
    (base / "local").mkdir()
    return base


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda path: path.name)
def test_snippet_is_valid_by_itself(snippet, system):
    alone = system / "alone"
    alone.write_text(f"abi <abi/3.0>,\nprofile alone {{\n{snippet.read_text()}}}\n")
    assert compiled(system, alone)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda path: path.name)
def test_snippet_comes_into_its_profile(snippet, system):
    profile = system / profile_of(snippet).name
    before = compiled(system, profile)
    shutil.copy(snippet, system / "local")
    assert compiled(system, profile) != before


def test_broken_snippet_would_be_noticed(system):
    profile = system / profile_of(SNIPPETS[0]).name
    (system / "local" / SNIPPETS[0].name).write_text("/run/e2etrust/** no-such-mode,\n")
    with pytest.raises(AssertionError, match="syntax error|error"):
        compiled(system, profile)


def test_profiles_that_run_hooks_let_them_start_our_command():
    for name in ("usr.sbin.libvirtd", "usr.sbin.virtqemud"):
        text = (ROOT / "etc/apparmor.d/local" / name).read_text()
        assert f"\n{HOOK} PUx,\n" in text


def test_no_guest_may_open_another_guests_view():
    """What is in abstractions/libvirt-qemu holds for every guest: each has its own rule instead."""
    assert not list((ROOT / "etc/apparmor.d").rglob("libvirt-qemu*"))
