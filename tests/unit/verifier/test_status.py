# SPDX-License-Identifier: Apache-2.0
"""`e2etrust-status upgrade check` on what an operator may have there."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from oslo_config import cfg

from e2etrust_verifier import conf as configuration
from e2etrust_verifier.cmd import status
from e2etrust_verifier.db import challenge_keys, events, galera, policy_versions, workers
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.db.models import Host, HostState, Worker
from e2etrust_verifier.readiness import files as file_modes
from e2etrust_verifier.readiness import options as option_names
from e2etrust_verifier.trust import records

POLICY = f"name: p\nhosts: ['*']\npcrs: {{sha256: {{7: ['{'ab' * 32}']}}}}\n"


@pytest.fixture
def place(tmp_path, monkeypatch, migrated):
    """All that this release needs, until a test takes something away."""
    # Other tests of this process have options of their own on the process-wide object.
    load = configuration.load
    monkeypatch.setattr(configuration, "load", lambda files: load(files, cfg.ConfigOpts()))
    path = tmp_path / "verifier.conf"
    path.touch(mode=0o600)
    path.write_text(
        f"[database]\nconnection = sqlite:///{tmp_path}/v.sqlite\n"
        f"[verifier]\nsigning_key = {tmp_path}/key.pem\npolicy_dir = {tmp_path}/host-policy.d\n"
        "new_hosts = expected\n"
    )
    shutil.copy(migrated, tmp_path / "v.sqlite")
    records.create_key(tmp_path / "key.pem")
    (tmp_path / "host-policy.d").mkdir()
    (tmp_path / "host-policy.d/a.yaml").write_text(POLICY)
    return tmp_path


def check(place, capsys) -> tuple[int, dict[str, tuple[int, str]]]:
    arguments = ["--config-file", str(place / "verifier.conf"), "upgrade", "check", "--json"]
    code = status.main(arguments)
    told = json.loads(capsys.readouterr().out)["checks"]
    return code, {one["check"]: (one["result"], one["details"] or "") for one in told}


def test_what_is_as_it_should_be_is_ready(place, capsys):
    code, told = check(place, capsys)
    assert code == 0
    assert {result for result, _ in told.values()} == {0}


@pytest.mark.parametrize(
    ("spoil", "name", "result", "word"),
    [
        (lambda place: (place / "v.sqlite").unlink(), "Database schema", 1, "db sync"),
        (lambda place: (place / "host-policy.d/a.yaml").unlink(), "Host policies", 1, "no policy"),
        (
            lambda place: (place / "host-policy.d/b.yaml").write_text("x"),
            "Host policies",
            2,
            "b.yaml",
        ),
        (
            lambda place: _set(
                place, "[oslo_policy]\npolicy_dirs = here\npolicy_dirs = host-policy.d"
            ),
            "Access rules",
            1,
            "both [verifier] policy_dir and one of [oslo_policy] policy_dirs",
        ),
        (
            lambda place: _set(place, "[oslo_policy]\npolicy_file = host-policy.d/a.yaml"),
            "Access rules",
            1,
            "holds [oslo_policy] policy_file",
        ),
        (lambda place: (place / "key.pem").unlink(), "Signing keys", 2, "key"),
        (lambda place: (place / "key.pem").chmod(0o640), "Signing keys", 2, "chmod 0600"),
        (lambda place: _set(place, "[verifier]\nlease = 60"), "Configuration options", 1, "lease"),
        (
            lambda place: _set(place, "[verifier]\npolicy-dirs = x"),
            "Configuration options",
            1,
            "write policy_dir",
        ),
        (
            lambda place: _set(place, "[verifer]\nissuer = x"),
            "Configuration options",
            1,
            "write [verifier]",
        ),
        (
            lambda place: _set(place, "[nova]\nauth_type = password\nuser = n"),
            "Configuration options",
            1,
            "no option user",
        ),
        (
            lambda place: _set(place, f"[webhook]\nurls=https://w\nsecret_file={place}/none"),
            "Signing keys",
            2,
            "WEBHOOK_SECRET",
        ),
        (lambda place: (place / "verifier.conf").chmod(0o644), "Configuration", 2, "chmod"),
        (
            lambda place: _set(place, "[verifier]\nnew_hosts = automatic"),
            "Trusting options",
            1,
            "takes a name",
        ),
        (
            lambda place: _set(place, "[verifier]\nnonce_lifetime = 3600"),
            "Trusting options",
            1,
            "quotes from before",
        ),
        (lambda place: (place / "host-policy.d/b.yml").touch(), "Host policies", 1, "b.yaml"),
        (
            lambda place: (place / "host-policy.d/b.yaml").write_text(
                POLICY.replace("*", "gold-*")
            ),
            "Host policies",
            1,
            "b.yaml is for no host: a.yaml comes first",
        ),
        (
            lambda place: (place / "host-policy.d/a.yaml").write_text(POLICY.replace("7:", "23:")),
            "Host policies",
            2,
            "resets",
        ),
        (
            lambda place: (place / "host-policy.d/a.yaml").write_text(POLICY.replace("ab", "00")),
            "Host policies",
            1,
            "a.yaml: PCR sha256:7",
        ),
    ],
    ids=[
        *(
            "no schema",
            "no policy",
            "bad policy",
            "one place",
            "rules among policies",
            "no key",
            "open key",
            "removed",
            "misspelt",
        ),
        *("no section", "no option to log in", "no secret", "open configuration"),
        *("first come", "long nonces", "yml", "behind another", "debug PCR", "unmeasured PCR"),
    ],
)
def test_what_is_missing_is_named(place, capsys, spoil, name, result, word):
    spoil(place)
    code, told = check(place, capsys)
    assert code == result
    assert told[name][0] == result
    assert word in told[name][1]


def _set(place: Path, lines: str) -> None:
    with (place / "verifier.conf").open("a") as file:
        file.write(f"{lines}\n")


def test_options_to_log_in_are_those_of_the_way_that_is_chosen(place, capsys):
    _set(place, "[nova]\nauth_type = v3applicationcredential\napplication_credential_id = i")
    _set(place, "[oslo_messaging_rabbit]\nrabbit_quorum_queue = true")
    _set(place, "[placement]\nauth_type = one_of_their_own\nsecret = s")
    code, told = check(place, capsys)
    assert (code, told["Configuration options"]) == (0, (0, ""))


def test_options_that_are_renamed_or_going_are_told(place, monkeypatch):
    renamed = cfg.StrOpt("issuer", deprecated_name="signer")
    going = cfg.IntOpt("kept", deprecated_for_removal=True, deprecated_reason="r")
    monkeypatch.setattr(option_names.opts, "list_opts", lambda: [("verifier", [renamed, going])])
    (place / "verifier.conf").write_text("[verifier]\nsigner = x\nkept = 1\n")
    told = option_names.unread([str(place / "verifier.conf")])
    assert [line.split(": ", 1)[1] for line in told] == [
        "[verifier] signer is called issuer now",
        "[verifier] kept goes away with a later release: remove it",
    ]


@pytest.fixture
def reachable(monkeypatch):
    """pytest's directories are closed to others."""
    monkeypatch.setattr(file_modes, "_way_to", lambda _path: True)


@pytest.mark.usefixtures("reachable")
@pytest.mark.parametrize(
    ("name", "mode", "word"),
    [
        ("v.sqlite", 0o644, "chmod o-rwx"),
        ("host-policy.d", 0o777, "chmod o-w"),
        ("host-policy.d/a.yaml", 0o646, "chmod o-w"),
        ("policy.yaml", 0o646, "chmod o-w"),
        ("", 0o777, "chmod o-w"),
    ],
)
def test_files_of_secrets_and_policies_are_closed_to_others(place, capsys, name, mode, word):
    (place / "policy.yaml").touch()
    for path in ("", "v.sqlite", "host-policy.d", "host-policy.d/a.yaml", "policy.yaml"):
        (place / path).chmod(0o600 if path == "v.sqlite" else 0o755)
    assert check(place, capsys)[1]["Files"] == (0, "")
    (place / name).chmod(mode)
    result, told = check(place, capsys)[1]["Files"]
    assert result == 2
    assert f"{word} {place / name}" in told


def test_file_in_a_closed_directory_is_closed(place, capsys):
    (place / "v.sqlite").chmod(0o644)
    assert check(place, capsys)[1]["Files"] == (0, "")


NOW = datetime.now(UTC)
OLD_REPORT = "REPORT_UNPROVEN: the report does not carry its host's signature"


def _host(session, name: str, suite: str, failed: str) -> None:
    keys = {"ek_public": b"e", "ek_certificate": None, "ek_accepted_by": "b", "ak_public": b"a"}
    session.add(Host(name=name, suite=suite, ak_name=b"n", enrolled_at=NOW, **keys))
    session.add(HostState(host=name, generation=1, held=False, since=NOW, failed=failed))


def _takes_any_answer(session) -> None:
    for name, pins in (("pins", True), ("silent", None), ("believes", False)):
        _host(session, name, "sm2-sm3", "[]")
        session.flush()
        session.get(HostState, name).pins_verifier = pins


def _report(session, message: str, ago: timedelta) -> None:
    events.add(session, "report-refused", message, now=NOW - ago, host="host1")


def _worker(session, knows: str | None) -> None:
    # Fresh when it is looked at, however long ago this file was read.
    workers.seen(session, "w", "m", datetime.now(UTC))
    session.get(Worker, "w").knows_schema = knows


@pytest.mark.parametrize(
    ("row", "name", "word"),
    [
        (lambda s: _worker(s, knows=None), "Workers", "1 e2etrust-verifier"),
        (lambda s: _worker(s, knows="0011"), "Workers", "1 e2etrust-verifier"),
        (lambda s: _report(s, OLD_REPORT, timedelta(hours=1)), "Agents", "(host1)"),
        (_takes_any_answer, "Verifier keys on hosts", "1 hosts (believes) take any answer"),
        (lambda s: _host(s, "h", "sm9", "[]"), "Hosts", "1 hosts (h) have a suite"),
        (lambda s: _host(s, "h", "sm2-sm3", "{"), "Hosts", "cannot be read"),
        (lambda s: challenge_keys.add(s, "00", b"short", NOW), "Challenge keys", "is none"),
        (
            lambda s: challenge_keys.add(s, "00", bytes(32), NOW - timedelta(days=1)),
            "Challenge keys",
            "no e2etrust-verifier keeps house",
        ),
        (
            lambda s: challenge_keys.add(s, "00", bytes(32), NOW + timedelta(days=1)),
            "Challenge keys",
            "clocks",
        ),
    ],
    ids=[
        "first worker",
        "worker",
        "agent",
        "no keys",
        "suite",
        "state",
        "no key",
        "old key",
        "key to come",
    ],
)
def test_rows_of_another_release_are_named(place, capsys, row, name, word):
    Database(configuration.load([str(place / "verifier.conf")])).write(row)
    code, told = check(place, capsys)
    assert (code, told[name][0]) == (1, 1)
    assert word in told[name][1]


def test_galera_whose_nodes_tell_what_is_old_is_named(place, capsys, monkeypatch):
    assert check(place, capsys)[1]["Database nodes"] == (0, "")
    monkeypatch.setattr(galera, "reads_what_is_old", lambda _session: True)
    code, told = check(place, capsys)
    assert (code, told["Database nodes"][0]) == (1, 1)
    assert "mysql_wsrep_sync_wait" in told["Database nodes"][1]


def test_worker_of_this_release_is_no_other(place, capsys):
    database = Database(configuration.load([str(place / "verifier.conf")]))
    database.write(lambda s: workers.seen(s, "w", "m", datetime.now(UTC)))
    assert check(place, capsys)[1]["Workers"][0] == 0


def test_reports_refused_long_ago_or_for_another_reason_are_no_old_agents(place, capsys):
    database = Database(configuration.load([str(place / "verifier.conf")]))
    database.write(lambda s: _report(s, OLD_REPORT, timedelta(days=2)))
    database.write(lambda s: _report(s, "SIGNATURE_WRONG: altered", timedelta()))
    assert check(place, capsys)[1]["Agents"] == (0, "")


def test_policy_that_is_older_than_what_was_applied_is_named(place, capsys):
    (place / "host-policy.d/a.yaml").write_text(f"version: 6\n{POLICY}")
    database = Database(configuration.load([str(place / "verifier.conf")]))
    database.write(lambda s: policy_versions.put(s, "p", 7, "another", NOW))
    code, told = check(place, capsys)
    assert (code, told["Applied policies"][0]) == (2, 2)
    assert "POLICY_ROLLED_BACK" in told["Applied policies"][1]


def test_rows_are_not_looked_at_before_the_schema_is_this_release_s(place, capsys):
    (place / "v.sqlite").unlink()
    _, told = check(place, capsys)
    assert told["Hosts"][0] == 1
    assert "not looked at: SCHEMA_OLD" in told["Hosts"][1]


def test_table_is_for_people(place, capsys):
    code = status.main(["--config-file", str(place / "verifier.conf"), "upgrade", "check"])
    assert (code, "Signing keys" in capsys.readouterr().out) == (0, True)
