# SPDX-License-Identifier: Apache-2.0
"""Why a host gets no challenge, for a whole fleet at once."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from e2etrust_verifier.db import policy_versions
from e2etrust_verifier.trust import current_policy
from e2etrust_verifier.trust.policies import PolicyStore

NOW = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = (
    "name: {name}\nversion: {version}\nhosts: ['{name}*']\npcrs: {{sha256: {{0: ['{pcr}']}}}}\n"
)


@pytest.fixture
def around(tmp_path, database):
    for name, version in (("web", 2), ("db", 1)):
        text = POLICY.format(name=name, version=version, pcr="0" * 64)
        (tmp_path / f"{name}.yaml").write_text(text)
    return SimpleNamespace(db=database, policies=PolicyStore(tmp_path), now=lambda: NOW)


def test_each_host_hears_of_its_own_policy(around):
    around.db.write(lambda s: policy_versions.add(s, "web", 3, "e" * 64, NOW))
    why = current_policy.missing(around, dict.fromkeys(["web1", "db1", "web2", "mail1"]))
    codes = {host: check.code for host, check in why.items()}
    assert codes == {
        "web1": "POLICY_ROLLED_BACK",
        "web2": "POLICY_ROLLED_BACK",
        "mail1": "POLICY_NONE",
    }


def test_host_that_was_judged_by_a_newer_policy_of_another_name_hears_of_it(around):
    why = current_policy.missing(around, {"web1": 3, "web2": 2, "db1": 1, "db2": None})
    assert {host: check.code for host, check in why.items()} == {"web1": "POLICY_ROLLED_BACK"}


def test_a_policy_is_looked_up_once_however_many_hosts_it_is_for(around):
    current_policy.missing(around, {"web1": None})  # the first time it is written down
    asked = []
    sa.event.listen(around.db.engine, "before_cursor_execute", lambda *a: asked.append(a[2]))
    assert current_policy.missing(around, {f"web{n}": 2 for n in range(50)}) == {}
    assert len([sql for sql in asked if "policy_versions" in sql]) == 1
