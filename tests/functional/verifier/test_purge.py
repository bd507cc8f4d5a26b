# SPDX-License-Identifier: Apache-2.0
"""History is deleted on every database, and what counts now is not."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
import sqlalchemy as sa
from oslo_config import cfg
from oslo_db import options

from e2etrust_verifier import purge
from e2etrust_verifier.db import migration
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.db.models import Check, Evidence, Launch, Verdict
from tests.unit.verifier import history

MOMENT = history.NOW - timedelta(days=30)
#: Of "good" all but the newest, of "gone" all, of "red" none; the newest evidence of both.
EXPECTED = {
    "events": 1,
    "verdicts": 5,
    "evidence": 7,
    "refusals": 1,
    "launches": 1,
    "leases": 1,
    "enrolments": 1,
    "challenges": 0,
}


@pytest.fixture
def filled(migrated_url):
    conf = cfg.ConfigOpts()
    options.set_defaults(conf, connection=migrated_url)
    conf([])
    made = Database(conf)
    migration.sync(made)
    made.write(history.fill)
    yield made
    made.dispose()


def _kept(database: Database) -> dict[str, list[str]]:
    columns = {"verdicts": Verdict.host, "evidence": Evidence.host, "launches": Launch.id}
    return database.read(
        lambda s: {name: sorted(s.scalars(sa.select(c))) for name, c in columns.items()}
    )


def test_history_goes_and_what_counts_now_stays(filled, tmp_path, monkeypatch):
    monkeypatch.setattr(purge, "ARCHIVED", 2)
    archive = tmp_path / "archive"
    assert purge.count(filled, MOMENT) == EXPECTED
    assert purge.purge(filled, MOMENT, archive=archive) == purge.Purged(EXPECTED)
    assert purge.count(filled, MOMENT) == dict.fromkeys(EXPECTED, 0)
    assert _kept(filled) == {
        "verdicts": ["good", "red", "red", "red"],
        "evidence": ["good", "red"],
        "launches": sorted(
            [f"ended-{history.NEW.day}"]
            + [f"started-{at.day}" for at in (history.OLD, history.NEW)]
        ),
    }
    # Checks go with their verdicts: two of the good one, one each of the others.
    assert filled.read(lambda s: s.scalar(sa.select(sa.func.count()).select_from(Check))) == 5
    told = [json.loads(line) for line in archive.read_text().splitlines()]
    assert {name: sum(one["table"] == name for one in told) for name in EXPECTED} == EXPECTED
    verdict = next(one for one in told if one["table"] == "verdicts")
    assert [check["name"] for check in verdict["checks"]] == ["clock", "clock"]
    assert archive.stat().st_mode & 0o777 == 0o600


def test_limit_leaves_the_rest_to_the_next_run(filled, monkeypatch):
    monkeypatch.setattr(purge, "BATCH", 2)
    first = purge.purge(filled, MOMENT, most=3)
    assert (sum(first.rows.values()), first.more) == (3, True)
    rest = sum(EXPECTED.values()) - 3
    assert purge.purge(filled, MOMENT, most=rest).more is False
    assert purge.count(filled, MOMENT) == dict.fromkeys(EXPECTED, 0)
