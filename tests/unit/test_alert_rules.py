# SPDX-License-Identifier: Apache-2.0
"""The sample alert rules speak of metrics that there are, and Prometheus takes them."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from e2etrust_verifier.api.metrics import Fleet, FleetCollector
from e2etrust_verifier.db.outbox import Waiting

HERE = Path(__file__).resolve().parent
RULES = HERE.parents[1] / "etc/prometheus/e2etrust.rules.yaml"
FLEETS = HERE / "alert_rules_test.yaml"
FLEET = Fleet(
    by_state={"trusted": 1, "untrusted": 0, "held": 0, "unknown": 0},
    oldest_attestation=0.0,
    last_verdict=0.0,
    started_servers=0,
    workers=1,
    last_worker=0.0,
    waiting={"bus": Waiting(1, datetime.now(UTC))},
    revoked=0,
    braked=False,
)


def rules() -> list[dict]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return group["rules"]


def test_every_metric_of_a_rule_is_exposed():
    exposed = {one.name for one in FleetCollector(lambda: FLEET).collect()}
    used = {name for rule in rules() for name in re.findall(r"e2etrust_\w+", rule["expr"])}
    assert len(used) >= 6
    assert used - exposed == set()


def test_every_state_of_a_rule_is_one():
    used = {s for rule in rules() for s in re.findall(r'state="(\w+)"', rule["expr"])}
    assert used
    assert used <= set(FLEET.by_state)


def test_every_alert_says_what_it_is_and_what_to_do():
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    for rule in rules():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["remedy"]


def test_every_alert_is_tried_on_fleets():
    tried = {
        one["alertname"]
        for fleet in yaml.safe_load(FLEETS.read_text())["tests"]
        for one in fleet["alert_rule_test"]
        if one.get("exp_alerts")
    }
    assert tried == {rule["alert"] for rule in rules()}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not there")
@pytest.mark.parametrize("words", [("check", RULES), ("test", FLEETS)], ids=lambda words: words[0])
def test_prometheus_takes_the_rules_and_raises_what_each_fleet_is_due(words):
    what, path = words
    done = subprocess.run(
        ["promtool", what, "rules", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
