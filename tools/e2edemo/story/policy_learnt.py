# SPDX-License-Identifier: Apache-2.0
"""A policy is learnt from host 1, tried on both hosts' evidence, and then put in force by hand."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from e2ecloud import api
from e2ecloud.policy import LEASE_SECONDS
from e2edemo.chapter import ClaimFailed, Evidence, claim
from e2edemo.stage import HOSTS, Stage
from e2edemo.waiting import wait_for

_NAME = "learnt"
#: Read before compute.yaml: the first policy that matches a host is the host's.
_FILE = "/etc/e2etrust/host-policy.d/by-events.yaml"


def tell(stage: Stage) -> Evidence:
    text = stage.openstack("attestation", "policy", "learn", "host1", "--name", _NAME, user="admin")
    claim("events:" in text, "the proposal has no event rules")
    claim(_policy_of(stage) != _NAME, "what was only proposed is in force")
    proposed = stage.work / "learnt.yaml"
    proposed.write_text(text)
    with ThreadPoolExecutor() as side_by_side:
        good, bad = side_by_side.map(partial(_test, stage, str(proposed)), HOSTS)
    claim(good[0] == 0, f"host1 would not pass what was learnt from it: {good[1]}")
    claim(bad[0] == 1, "host2, tampered with, would pass what was learnt from host1")
    failed = next(row for row in bad[1] if row["Outcome"] != "pass")
    stage.say("policy test host1", f"{len(good[1])} checks pass")
    stage.say("policy test host2", f"{failed['Code']}: {failed['Reason']}")
    # What a person adds: how long a lease lasts, and who lets a host that failed come back.
    _put_in_force(stage, f"{text}lease_seconds: {LEASE_SECONDS}\nrecovery: operator\n")
    found = wait_for("host1 to be judged by its events", lambda: _newest(stage), timeout=120)
    claim(found.trusted, f"host1 fails what was learnt from it: {found.checks}")
    stage.wait_trusted("host1")
    held = next(check.reason for check in found.checks if check.check == "event-policy")
    stage.say("host1, in force", held)
    return {
        "rules": text.count("- type:"),
        "host1": [f"{row['Check']}: {row['Outcome']}" for row in good[1]],
        "host2": [f"{row['Check']}: {row['Outcome']}: {row['Code']}" for row in bad[1]],
        "in_force": held,
    }


def _test(stage: Stage, file: str, host: str) -> tuple[int, list[dict[str, Any]]]:
    """``openstack attestation policy test``: its exit status is the verdict."""
    done = api.openstack(stage.cloud, "attestation", "policy", "test", file, host, "-f", "json")
    if done.returncode not in (0, 1) or not done.stdout:
        raise ClaimFailed(f"policy test {host} broke: {done.stderr.decode(errors='replace')}")
    return done.returncode, json.loads(done.stdout)


def _put_in_force(stage: Stage, text: str) -> None:
    done = api.exec_in(stage.cloud, ["tee", _FILE], input=text.encode())
    claim(done.returncode == 0, f"the policy cannot be written: {done.stderr!r}")


def _policy_of(stage: Stage) -> str:
    return stage.attestation.host_history("host1", 1)[0].policy


def _newest(stage: Stage) -> Any:
    (found,) = stage.attestation.host_history("host1", 1)
    return found if found.policy == _NAME else None
