# SPDX-License-Identifier: Apache-2.0
"""`host evidence save`: what a verifier recorded is appraised again without it."""

from __future__ import annotations

import io
import json
import shlex
from dataclasses import replace
from types import SimpleNamespace

import pytest
from osc_lib import exceptions

from e2etrust_client.appraise import main as appraise
from e2etrust_client.appraise.folder import parse_pcr_values, read_folder
from e2etrust_client.appraise.recorded_folder import files_of, pcr_file
from e2etrust_client.osc.v1 import evidence
from e2etrust_core.appraisal.policy_proposal import propose_policy
from tests.unit.core.appraisal.test_recorded import Host
from tests.vectors import vectors


@pytest.fixture
def recorded():
    return replace(Host().recorded(), ek_certificate=b"certificate")


@pytest.fixture
def save(recorded, monkeypatch, tmp_path):
    """Run the command; return what it told."""
    client = SimpleNamespace(host_evidence=lambda host, number=None: recorded)  # noqa: ARG005
    monkeypatch.setattr(evidence, "client_of", lambda _manager: client)

    def save():
        out = io.StringIO()
        command = evidence.SaveEvidence(SimpleNamespace(stdout=out, client_manager=None), None)
        arguments = ["host1", str(tmp_path / "a folder"), "-f", "json"]
        command.run(command.get_parser("x").parse_args(arguments))
        return json.loads(out.getvalue())

    return save


def test_saved_evidence_passes_by_the_command_that_is_told_and_by_no_other_nonce(
    save, recorded, tmp_path, capsys
):
    told = save()
    assert told["host"] == "host1"
    policy = tmp_path / "policy.yaml"
    policy.write_text(propose_policy(recorded, "learnt", ["*"]).text)
    program, *words = shlex.split(told["next"])
    assert program == "e2etrust-appraise"
    assert appraise.main([*words, "--policy", str(policy)]) == 0, capsys.readouterr()
    assert appraise.main([*words[:-1], "00" * 32, "--policy", str(policy)]) == 1


def test_all_that_was_recorded_is_saved(recorded, tmp_path):
    whole = replace(recorded, evidence=replace(recorded.evidence, ima=b""))
    for name, data in files_of(whole).items():
        (tmp_path / name).write_bytes(data)
    found = read_folder(tmp_path)
    assert [one.quote for one in found.quotes] == [recorded.evidence.quote]
    assert found.aks == {"ak_host.tpmt": recorded.ak_public}
    assert found.eks == {"ek_host.pub": recorded.ek_public}
    assert found.ek_certificates == {"ekcert_host.der": b"certificate"}
    assert found.event_log is not None
    assert found.ima == b""


def test_part_of_an_ima_list_is_no_list(recorded):
    part = replace(recorded, evidence=replace(recorded.evidence, ima=b"x", ima_from=7))
    assert "ima_bin" not in files_of(part)


def test_nothing_is_overwritten(save):
    save()
    with pytest.raises(exceptions.CommandError, match="is there already"):
        save()


@pytest.mark.parametrize("name", ["ovmf-plain/q_ecc.pcrs", "ovmf-sm3/q_rsa.pcrs"])
def test_pcr_values_are_written_as_tpm2_quote_writes_them(name):
    folder, _, file = name.partition("/")
    data = (vectors(folder) / file).read_bytes()
    assert pcr_file(parse_pcr_values(data, file)) == data
