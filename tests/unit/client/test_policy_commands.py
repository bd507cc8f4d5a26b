# SPDX-License-Identifier: Apache-2.0
"""`policy learn` and `policy test` on evidence that a verifier recorded."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace

import pytest
from osc_lib import exceptions as osc_exc

from e2etrust_client.osc.v1 import policy as commands
from e2etrust_core.appraisal.policy import parse_policy
from tests.unit.core.appraisal.test_recorded import Host


@pytest.fixture
def recorded():
    return Host().recorded()


@pytest.fixture
def run(recorded, monkeypatch):
    """Run a command; return its exit status and what it wrote."""
    client = SimpleNamespace(host_evidence=lambda host, number=None: recorded)  # noqa: ARG005
    monkeypatch.setattr(commands, "client_of", lambda _manager: client)

    def run(kind, *arguments: str) -> tuple[int, str]:
        out = io.StringIO()
        command = kind(SimpleNamespace(stdout=out, client_manager=None), None)
        return command.run(command.get_parser("x").parse_args([*arguments])), out.getvalue()

    return run


def test_learnt_policy_is_written_and_passes_its_own_test(run, tmp_path, capsys):
    status, text = run(commands.LearnPolicy, "host1", "--name", "fleet", "--for", "compute-*")
    assert status == 0
    policy = parse_policy(text)
    assert (policy.name, policy.hosts) == ("fleet", ["compute-*"])
    assert "not activated" in capsys.readouterr().err
    path = tmp_path / "fleet.yaml"
    path.write_text(text)
    status, out = run(commands.TestPolicy, str(path), "host1", "-f", "json")
    assert status == 0
    assert {row["Outcome"] for row in json.loads(out)} == {"pass"}


def test_policy_that_would_not_trust_the_host_ends_with_status_1(run, tmp_path):
    path = tmp_path / "other.yaml"
    path.write_text(f"name: p\nhosts: ['*']\npcrs: {{sha256: {{7: ['{'11' * 32}']}}}}\n")
    status, out = run(commands.TestPolicy, str(path), "host1", "-f", "json")
    assert status == 1
    assert "PCR_MISMATCH" in {row["Code"] for row in json.loads(out)}


@pytest.mark.parametrize("text", [None, "name: [", "name: p\n"])
def test_file_that_is_no_policy_is_one_clear_error(run, tmp_path, text):
    path = tmp_path / "p.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(osc_exc.CommandError):
        run(commands.TestPolicy, str(path), "host1")
