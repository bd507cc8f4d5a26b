# SPDX-License-Identifier: Apache-2.0
"""`e2etrust-status upgrade check` on what an operator may have there."""

from __future__ import annotations

import json

import pytest
from oslo_config import cfg

from e2etrust_verifier import conf as configuration
from e2etrust_verifier.cmd import status
from e2etrust_verifier.db import migration
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.trust import records

POLICY = f"name: p\nhosts: ['*']\npcrs: {{sha256: {{7: ['{'00' * 32}']}}}}\n"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """All that this release needs, until a test takes something away."""
    # Other tests of this process have options of their own on the process-wide object.
    load = configuration.load
    monkeypatch.setattr(configuration, "load", lambda files: load(files, cfg.ConfigOpts()))
    path = tmp_path / "verifier.conf"
    path.touch(mode=0o600)
    path.write_text(
        f"[database]\nconnection = sqlite:///{tmp_path}/v.sqlite\n"
        f"[verifier]\nsigning_key = {tmp_path}/key.pem\npolicy_dir = {tmp_path}/policy.d\n"
    )
    migration.sync(Database(configuration.load([str(path)])))
    records.create_key(tmp_path / "key.pem")
    (tmp_path / "policy.d").mkdir()
    (tmp_path / "policy.d/a.yaml").write_text(POLICY)
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
        (lambda place: (place / "policy.d/a.yaml").unlink(), "Host policies", 1, "no policy"),
        (lambda place: (place / "policy.d/b.yaml").write_text("x"), "Host policies", 2, "b.yaml"),
        (lambda place: (place / "key.pem").unlink(), "Signing key", 2, "key"),
        (lambda place: (place / "verifier.conf").chmod(0o644), "Configuration", 2, "chmod"),
    ],
    ids=["no schema", "no policy", "bad policy", "no key", "open configuration"],
)
def test_what_is_missing_is_named(place, capsys, spoil, name, result, word):
    spoil(place)
    code, told = check(place, capsys)
    assert code == result
    assert told[name][0] == result
    assert word in told[name][1]


def test_table_is_for_people(place, capsys):
    code = status.main(["--config-file", str(place / "verifier.conf"), "upgrade", "check"])
    assert (code, "Signing key" in capsys.readouterr().out) == (0, True)
