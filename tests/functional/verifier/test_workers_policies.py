# SPDX-License-Identifier: Apache-2.0
"""Several verifiers with their own directories: the API tells where they differ."""

from __future__ import annotations

import pytest

from e2etrust_verifier.db import workers
from e2etrust_verifier.heartbeat import Heartbeat
from e2etrust_verifier.trust.policies import PolicyStore
from e2etrust_verifier.trust.policy_overview import overview
from e2etrust_verifier.trust.worker_policies import at_workers, tell

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def directories(laboratory, tmp_path):
    """Two directories with the same policy."""
    other = tmp_path / "other"
    other.mkdir()
    text = (laboratory.directory / "policy.d/compute.yaml").read_text()
    (other / "compute.yaml").write_text(text)
    return laboratory.around.policies, PolicyStore(other), other


def beat(laboratory, store) -> None:
    Heartbeat(laboratory.around.db, laboratory.around.now, lambda: tell(store)).beat()


def asked(laboratory):
    around = laboratory.around
    return around.db.read(lambda s: overview(s, around.policies, around.now()))


def test_workers_with_the_same_policies_have_one_set(laboratory, directories):
    one, two, _ = directories
    beat(laboratory, one)
    beat(laboratory, two)
    found = asked(laboratory)
    assert (found.at_workers.told, found.at_workers.sets) == (2, 1)
    assert [p.workers for p in found.policies] == [2]


@pytest.mark.parametrize("how", ["altered", "unreadable", "gone", "more"])
def test_worker_that_has_another_policy_is_counted_apart(laboratory, directories, how):
    one, two, folder = directories
    path = folder / "compute.yaml"
    if how == "altered":
        path.write_text(path.read_text() + "level: 2\n")
    elif how == "unreadable":
        path.write_text("name: [")
    elif how == "gone":
        path.unlink()
    else:
        (folder / "more.yaml").write_text(path.read_text().replace("compute", "more"))
    beat(laboratory, one)
    beat(laboratory, two)
    found = asked(laboratory)
    assert (found.at_workers.told, found.at_workers.sets) == (2, 2)
    assert [p.workers for p in found.policies] == [2 if how == "more" else 1]


def test_worker_that_is_gone_or_says_nothing_does_not_count(laboratory, directories):
    around = laboratory.around
    beat(laboratory, directories[0])
    laboratory.later(workers.GONE_AFTER.total_seconds() + 1)
    Heartbeat(around.db, around.now).beat()  # of the release before
    assert around.db.read(lambda s: at_workers(s, around.now())).told == 0
    beat(laboratory, directories[1])
    assert around.db.read(lambda s: at_workers(s, around.now())).sets == 1


def test_what_a_worker_of_another_release_says_differs(laboratory, directories):
    around = laboratory.around
    beat(laboratory, directories[0])
    around.db.write(lambda s: workers.seen(s, "w", "m", around.now(), '{"new": 1}'))
    assert around.db.read(lambda s: at_workers(s, around.now())).sets == 2
