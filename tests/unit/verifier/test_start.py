# SPDX-License-Identifier: Apache-2.0
"""A service that cannot start says in one line why, and what to do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from oslo_config import cfg

from e2etrust_agent.cmd import agent
from e2etrust_verifier import conf as configuration
from e2etrust_verifier.cmd import verifier
from e2etrust_verifier.conf.load import ConfigurationError
from e2etrust_verifier.rpc.transport import rpc_transport

WRONG = ["nonsense://account:secret@bus", "rabbit://account:secret@bus:port"]


def written(path: Path, text: str) -> str:
    path.touch(mode=0o600)
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("url", WRONG)
def test_bus_that_cannot_be_one_is_named_without_its_password(url, tmp_path):
    conf = cfg.ConfigOpts()
    conf(["--config-file", written(tmp_path / "a.conf", f"[DEFAULT]\ntransport_url = {url}\n")])
    with pytest.raises(ConfigurationError, match="transport_url") as refused:
        rpc_transport(conf)
    assert "secret" not in f"{refused.value} {refused.value.remedy}"


def test_verifier_without_its_database_ends_with_what_to_check(tmp_path, monkeypatch, capsys):
    missing = f"[database]\nconnection = sqlite:///{tmp_path}/missing/v.sqlite\n"
    path = written(tmp_path / "verifier.conf", missing)
    monkeypatch.setattr(sys, "argv", ["e2etrust-verifier", "--config-file", path])
    monkeypatch.setattr(verifier, "leave_no_core", lambda: None)
    # Other tests of this process have options of their own on the process-wide object.
    load = configuration.load
    monkeypatch.setattr(configuration, "load", lambda files: load(files, cfg.ConfigOpts()))
    assert verifier.main() == 1
    told = capsys.readouterr().err
    assert "e2etrust-verifier: DATABASE: " in told
    assert "check [database] connection" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("url", WRONG)
def test_agent_with_a_bus_that_cannot_be_one_ends_with_what_to_write(
    url, tmp_path, monkeypatch, capsys
):
    path = written(tmp_path / "agent.conf", f"[DEFAULT]\ntransport_url = {url}\n")
    monkeypatch.setattr(agent, "leave_no_core", lambda: None)
    monkeypatch.setattr(cfg, "CONF", cfg.ConfigOpts())
    assert agent.main(["--config-file", path]) == 1
    told = capsys.readouterr().err
    assert "CONFIGURATION_WRONG: [DEFAULT] transport_url" in told
    assert "secret" not in told
