# SPDX-License-Identifier: Apache-2.0
"""An older policy is not applied again but by an operator's word, on both databases."""

from __future__ import annotations

from dataclasses import replace

import pytest

from e2etrust_core.messages import RemoteRefusal
from e2etrust_verifier.db import events, hosts, verdicts
from e2etrust_verifier.trust import leases, operator, policy_versions, standing
from e2etrust_verifier.trust.policies import PolicyStore, read_policy


@pytest.fixture
def host(laboratory):
    laboratory.policy(version=2)
    enrolled = laboratory.host()
    enrolled.enrol()
    assert enrolled.attest().trusted
    return enrolled


def refused(code: str):
    return pytest.raises(RemoteRefusal, match=f"^{code}:")


def kinds(laboratory) -> list[str]:
    return [one.kind for one in laboratory.around.db.read(lambda s: events.newest(s, 50))]


def test_newer_version_is_applied_and_noted(laboratory, host):
    laboratory.policy(version=3)
    assert host.attest().trusted
    kept = laboratory.around.db.read(lambda s: verdicts.page(s, "host1", None, 2))
    assert [one.policy_version for one in kept] == [3, 2]
    assert kinds(laboratory).count("policy-applied") == 2


@pytest.mark.parametrize("version", [{"version": 1}, {}])
def test_older_version_is_refused_and_so_is_none_at_all(laboratory, host, version):
    laboratory.policy(**version)
    with refused("POLICY_ROLLED_BACK"):
        host.attest()


@pytest.mark.parametrize("version", [{"version": 1}, {}], ids=["older", "none"])
def test_older_policy_under_another_name_is_refused(laboratory, host, version):
    """Renamed, or written anew after the newer one was deleted: the host knows better."""
    laboratory.policy(name="other", **version)
    with refused("POLICY_ROLLED_BACK"):
        host.attest()
    laboratory.later(61)
    assert leases.sweep(laboratory.around) == ["host1"]


def test_policy_that_was_renamed_does_not_come_back_by_its_old_name(laboratory, host):
    laboratory.policy(name="renamed", version=3)
    assert host.attest().trusted
    laboratory.policy(version=2)
    with refused("POLICY_ROLLED_BACK"):
        host.attest()


def test_host_that_is_removed_and_enrols_anew_is_judged_by_nothing_older(laboratory, host):
    operator.remove(laboratory.around.db, "host1", laboratory.around.now())
    laboratory.policy(name="other", version=1)
    host.enrol()
    with refused("POLICY_ROLLED_BACK"):
        host.attest()


def test_operator_may_accept_another_policy_and_its_hosts_are_judged_by_it(laboratory, host):
    laboratory.policy(name="other", version=1)
    file = laboratory.directory / "policy.d/compute.yaml"
    around = laboratory.around
    policy_versions.accept(around.db, read_policy(file).at(None), around.now(), "ops")
    assert host.attest().trusted


def test_same_version_with_other_contents_is_refused(laboratory, host):
    laboratory.policy(version=2, lease_seconds=61)
    with refused("POLICY_ALTERED"):
        host.attest()


def test_answer_to_a_challenge_of_the_newer_policy_is_not_judged_by_the_older(laboratory, host):
    answer = host.answer(host.challenge())
    laboratory.policy(version=1)
    with refused("EVIDENCE_STALE"):
        host.send(answer)


def test_operator_may_go_back_and_that_is_noted(laboratory, host):
    laboratory.policy(version=1)
    file = laboratory.directory / "policy.d/compute.yaml"
    around = laboratory.around
    policy_versions.accept(around.db, read_policy(file).at(None), around.now(), "ops")
    assert host.attest().trusted
    assert "policy-accepted" in kinds(laboratory)
    laboratory.policy(version=2)
    assert host.attest().trusted


def test_worker_with_an_older_directory_refuses_whoever_went_ahead(laboratory, host, tmp_path):
    behind = tmp_path / "behind"
    behind.mkdir()
    file = laboratory.directory / "policy.d/compute.yaml"
    (behind / "compute.yaml").write_text(file.read_text())
    laboratory.policy(version=3)
    assert host.attest().trusted
    laboratory.endpoint._around = replace(laboratory.around, policies=PolicyStore(behind))
    with refused("POLICY_ROLLED_BACK"):
        host.attest()


def test_host_reads_that_the_policy_is_why_its_lease_ran_out(laboratory, host):
    laboratory.policy(version=1)
    laboratory.later(61)
    assert leases.sweep(laboratory.around) == ["host1"]
    state = laboratory.around.db.read(lambda s: hosts.state(s, "host1"))
    (check,) = standing.failed_checks(state)
    assert (check.check, check.code) == ("policy", "POLICY_ROLLED_BACK")
    assert "e2etrust-manage policy accept" in check.remedy
    laboratory.policy(version=2)
    assert host.attest().trusted
