# SPDX-License-Identifier: Apache-2.0
"""The documentation builds without a warning, and tells every setting, rule and command."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from oslo_config import cfg

from e2etrust_agent.conf import opts as agent_opts
from e2etrust_nova.conf import opts as nova_opts
from e2etrust_verifier.conf import opts as verifier_opts
from e2etrust_verifier.policies import list_rules

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation as text, made with warnings counted as errors (as ``tox -e docs``)."""
    target = tmp_path_factory.mktemp("docs")
    trees, text = str(target / "trees"), str(target / "text")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "text", "-d", trees]
        + [str(ROOT / "doc/source"), text],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return target / "text"


@pytest.mark.parametrize("opts", [agent_opts, verifier_opts, nova_opts], ids=lambda m: m.__name__)
def test_every_setting_is_in_the_docs(built, opts):
    told = (built / "admin/settings.txt").read_text().splitlines()
    named: list[cfg.Opt] = [one for _, group in opts.list_opts() for one in group]
    assert named
    assert [one.dest for one in named if one.dest not in told] == []


def test_every_policy_rule_is_in_the_docs(built):
    told = (built / "admin/api-rules.txt").read_text()
    assert [rule.name for rule in list_rules() if f'"{rule.name}"' not in told] == []


def test_every_command_of_ours_is_in_the_docs():
    told = "".join(page.read_text() for page in (ROOT / "doc/source").rglob("*.rst"))
    ours = [e.name for e in entry_points(group="console_scripts") if e.value.startswith("e2etrust")]
    plugin = entry_points(group="openstack.attestation.v1")
    commands = ["openstack " + one.name.replace("_", " ") for one in plugin]
    assert ours
    assert commands
    assert [name for name in [*ours, *commands] if name not in told] == []
