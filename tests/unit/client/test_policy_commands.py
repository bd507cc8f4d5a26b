# SPDX-License-Identifier: Apache-2.0
"""`policy learn` and `policy test` on evidence that a verifier recorded."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from osc_lib import exceptions as osc_exc

from e2etrust_client.model import Enrolment, PolicyState, PolicyStates
from e2etrust_client.osc.v1 import enrolment, policy_state
from e2etrust_client.osc.v1 import policy as commands
from e2etrust_core.appraisal.policy import parse_policy
from tests.unit.core.appraisal.test_recorded import Host


@pytest.fixture
def recorded():
    return Host().recorded()


@pytest.fixture
def run(recorded, monkeypatch):
    """Run a command; return its exit status and what it wrote."""
    client = SimpleNamespace(
        host_evidence=lambda host, number=None: recorded,  # noqa: ARG005
        host_evidence_list=lambda host: [SimpleNamespace(id=1)],  # noqa: ARG005
    )
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


def test_policy_is_written_beside_its_allowlist_and_overwrites_nothing(run, tmp_path, capsys):
    place = tmp_path / "new"
    status, text = run(commands.LearnPolicy, "host1", "--directory", str(place))
    assert (status, text) == (0, "")
    assert "learnt" in (place / "learnt.yaml").read_text()
    assert "# a TPM of suite ecc-p256-sha256" in capsys.readouterr().err
    with pytest.raises(osc_exc.CommandError, match="is there already"):
        run(commands.LearnPolicy, "host1", "--directory", str(place))


def test_policy_that_would_not_trust_the_host_ends_with_status_1(run, tmp_path):
    path = tmp_path / "other.yaml"
    path.write_text(f"name: p\nhosts: ['*']\npcrs: {{sha256: {{7: ['{'11' * 32}']}}}}\n")
    status, out = run(commands.TestPolicy, str(path), "host1", "-f", "json")
    assert status == 1
    assert "PCR_MISMATCH" in {row["Code"] for row in json.loads(out)}


def test_runtime_policy_of_keylimes_is_taken_over(run, tmp_path, capsys):
    source = tmp_path / "runtime.json"
    source.write_text(json.dumps({"meta": {"version": 1}, "digests": {"/bin/a": ["11" * 32]}}))
    place = str(tmp_path / "new")
    status, out = run(commands.ImportKeylimePolicy, str(source), "--directory", place)
    assert (status, out) == (0, "ima:\n  allow:\n  - keylime.sha256\n")
    assert f"{'11' * 32}  /bin/a" in (tmp_path / "new/keylime.sha256").read_text()
    assert "1 digests of files" in capsys.readouterr().err
    again = [str(source), "--directory", place]
    with pytest.raises(osc_exc.CommandError, match="is there already"):
        run(commands.ImportKeylimePolicy, *again)
    with pytest.raises(osc_exc.CommandError, match="letters"):
        run(commands.ImportKeylimePolicy, *again, "--name", "../x")
    with pytest.raises(osc_exc.CommandError, match="cannot be read"):
        run(commands.ImportKeylimePolicy, str(tmp_path / "absent"), *again[1:])


VALUE = "pcrs: {sha256: {7: ['%s']}}\n"
HEAD = "name: p\nhosts: ['compute-*']\n"


class Fleet:
    """Three hosts that a policy is for, one that it is not for, and what is recorded of them."""

    def __init__(self) -> None:
        self.recorded = {}
        good = Host()
        self.good = good.tpm.pcrs["sha256"][7].hex()
        trusted = good.recorded(HEAD + VALUE % self.good)
        assert trusted.trusted
        self.recorded["compute-1"] = {5: replace(trusted, host="compute-1")}
        other = Host()
        other.tpm.pcrs["sha256"][7] = b"\1" * 32
        refused = other.recorded(HEAD + VALUE % self.good)
        self.recorded["compute-2"] = {6: replace(refused, host="compute-2")}
        self.recorded["compute-3"] = {}
        self.recorded["storage-1"] = {7: replace(trusted, host="storage-1")}

    def hosts(self):
        return [SimpleNamespace(name=name) for name in self.recorded]

    def host_evidence_list(self, host):
        return [SimpleNamespace(id=number) for number in sorted(self.recorded[host], reverse=True)]

    def host_evidence(self, host, number=None):
        return self.recorded[host][number or max(self.recorded[host])]


@pytest.fixture
def fleet(run, monkeypatch):
    found = Fleet()
    monkeypatch.setattr(commands, "client_of", lambda _manager: found)
    return found


def tried(run, tmp_path, text, *more):
    path = tmp_path / "tried.yaml"
    path.write_text(HEAD + text)
    status, out = run(commands.TestPolicy, str(path), *more, "-f", "json")
    return status, json.loads(out)


def test_policy_is_tried_on_all_hosts_that_it_is_for(run, fleet, tmp_path, capsys):
    status, rows = tried(run, tmp_path, VALUE % ("01" * 32))
    assert status == 1
    found = {row["Host"]: (row["Before"], row["After"], row["Code"]) for row in rows}
    assert found == {
        "compute-1": (True, False, "PCR_MISMATCH"),
        "compute-2": (False, True, ""),
    }
    said = capsys.readouterr().err
    assert "1 hosts newly refused: compute-1" in said
    assert "1 hosts newly accepted: compute-2" in said
    assert "1 hosts without evidence to judge: compute-3" in said


def test_policy_that_takes_nobodys_trust_ends_with_status_0(run, fleet, tmp_path, capsys):
    del fleet.recorded["compute-3"]
    both = VALUE.replace("%s", f"{fleet.good}', '{'01' * 32}")
    assert tried(run, tmp_path, both)[0] == 0
    assert "1 hosts as before" in capsys.readouterr().err


def test_policies_are_compared_with_each_other(run, fleet, tmp_path, capsys):
    old = tmp_path / "old.yaml"
    old.write_text(HEAD.replace("name: p", "name: old") + VALUE % ("01" * 32))
    new = VALUE % fleet.good
    status, rows = tried(run, tmp_path, new, "compute-2", "--against", str(old))
    assert status == 1
    assert "pcr-policy" in {row["Check"] for row in rows}
    said = capsys.readouterr().err
    assert "by old: trusted; now: not trusted" in said
    assert "1 checks newly refused: pcr-policy (PCR_MISMATCH)" in said


def test_evidence_that_holds_a_part_of_the_list_only_is_passed_over(run, fleet, tmp_path):
    whole = fleet.recorded["compute-1"][5]
    part = replace(whole, evidence=replace(whole.evidence, ima_from=100))
    fleet.recorded["compute-1"][8] = part
    files = "ima: {buffers: [{name: x, anything: true}]}\n"
    # Of the whole one, that no list was sent; of the part, that nobody knows its beginning.
    _, rows = tried(run, tmp_path, VALUE % fleet.good + files, "compute-1")
    codes = {row["Code"] for row in rows}
    assert "IMA_LIST_MISMATCH" not in codes
    _, rows = tried(run, tmp_path, VALUE % fleet.good, "compute-1", "--evidence", "8")
    assert {row["Outcome"] for row in rows} == {"pass"}


@pytest.mark.parametrize("text", [None, "name: [", "name: p\n"])
def test_file_that_is_no_policy_is_one_clear_error(run, tmp_path, text):
    path = tmp_path / "p.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(osc_exc.CommandError):
        run(commands.TestPolicy, str(path), "host1")


GOOD = PolicyState("p", "p.yaml", "in-force", 2, 7, [], version=7, asks=["pcrs"])
BACK = PolicyState("q", "q.yaml", "rolled-back", 0, 9, [], "POLICY_ROLLED_BACK", "older", "do")


@pytest.fixture
def ask(monkeypatch):
    """Run a command against a service that knows two policies and one host."""
    known = Enrolment("host1", "sm2-sm3", "t", "inventory", "ab", "cd")
    client = SimpleNamespace(
        policies=lambda: PolicyStates([GOOD, BACK], 3),
        policy=lambda name: {"p": GOOD, "q": BACK}[name],
        enrolments=lambda: [known],
        enrolment=lambda _host: known,
    )
    for module in (policy_state, enrolment):
        monkeypatch.setattr(module, "client_of", lambda _manager: client)

    def ask(kind, *arguments: str):
        out = io.StringIO()
        command = kind(SimpleNamespace(stdout=out, client_manager=None), None)
        command.run(command.get_parser("x").parse_args([*arguments, "-f", "json"]))
        return json.loads(out.getvalue())

    return ask


def test_policies_are_listed_with_their_states_and_hosts_without_one_are_told(ask, capsys):
    rows = ask(policy_state.ListPolicy)
    assert [(row["Name"], row["State"], row["Hosts"]) for row in rows] == [
        ("p", "in-force", 2),
        ("q", "rolled-back", 0),
    ]
    assert "3 enrolled hosts match no policy" in capsys.readouterr().err


def test_first_line_of_a_policy_says_whether_it_counts(ask):
    shown = ask(policy_state.ShowPolicy, "p")
    assert next(iter(shown.items())) == ("why", "in force for 2 hosts")
    assert ask(policy_state.ShowPolicy, "q")["why"] == "POLICY_ROLLED_BACK: older. Next: do"


def test_enrolments_are_listed_and_shown(ask):
    assert [row["Host"] for row in ask(enrolment.ListEnrolment)] == ["host1"]
    assert ask(enrolment.ShowEnrolment, "host1")["suite"] == "sm2-sm3"
