# SPDX-License-Identifier: Apache-2.0
"""What becomes of compute services in Nova as hosts lose and regain trust."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from e2etrust_core.appraisal.model import CheckResult
from e2etrust_verifier.db import events, hosts, verdicts
from e2etrust_verifier.db.models import Host, Revocation
from e2etrust_verifier.revocation.nova import Nova
from e2etrust_verifier.revocation.reconciler import Reconciler
from e2etrust_verifier.revocation.rule import Rule
from e2etrust_verifier.trust import current_policy, operator, standing
from tests.unit.verifier.revocation.nova_service import NovaService

RULE = Rule(action="disable", max_hosts_per_hour=2, max_fraction=1.0, reenable=True)
FAILED = CheckResult("pcr", "fail", "other", "PCR_MISMATCH", "look")


class Cloud:
    """Hosts in the verifier's database, and Nova beside it."""

    def __init__(self, database, count=4):
        self.database = database
        self.names = [f"host{n}" for n in range(1, count + 1)]
        self.nova = NovaService(*self.names)
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        for name in self.names:
            database.write(lambda s, name=name: hosts.add(s, _host(name), held=False, now=self.now))
            self.trust(name)

    def _state(self, name, work):
        self.database.write(lambda s: work(s, hosts.lock_state(s, name, self.now)))

    def trust(self, name):
        self._state(name, lambda s, state: standing.grant(s, state, 86400, 1, self.now))

    def fail(self, name, checks=(FAILED,)):
        def work(session, state):
            standing.withdraw(session, state, list(checks), self.now, why="failed", hold=False)

        self._state(name, work)

    def worker(self, **changes):
        rule = replace(RULE, **changes)
        return Reconciler(self.database, Nova(self.nova), rule, lambda: self.now)

    def later(self, seconds):
        self.now += timedelta(seconds=seconds)

    def told(self, kind):
        found = self.database.read(lambda s: events.newest(s, 50, kind))
        return [(e.host, e.message) for e in found]

    def row(self, name):
        return self.database.read(lambda s: s.get(Revocation, name))


def _host(name):
    return Host(
        name=name,
        suite="ecc-p256-sha256",
        ek_public=b"e",
        ek_accepted_by="pin",
        ak_public=b"a",
        ak_name=b"n",
        enrolled_at=datetime.now(UTC),
    )


@pytest.fixture
def cloud(database):
    return Cloud(database)


def test_failed_host_is_disabled_once_with_a_reason_and_no_other(cloud):
    cloud.fail("host1")
    worker = cloud.worker()
    for _ in range(3):
        worker.once()
    assert len(cloud.nova.changes) == 1
    status, reason = cloud.nova.status("host1")
    assert status == "disabled"
    assert reason.startswith("e2etrust: PCR_MISMATCH, not trusted since 2026-01-01")
    assert cloud.nova.status("host2") == ("enabled", None)
    assert [host for host, _ in cloud.told("service-disabled")] == ["host1"]


def test_host_that_an_operator_revoked_is_disabled(cloud):
    operator.revoke(cloud.database, "host1", cloud.now)
    cloud.worker(after_failures=5).once()
    assert "HOST_REVOKED" in cloud.nova.status("host1")[1]


def test_failures_in_a_row_are_counted_since_the_last_pass(cloud):
    def verdict(trusted):
        cloud.database.write(
            lambda s: verdicts.add(s, "host1", "attest", "p", [], trusted=trusted, now=cloud.now)
        )

    for trusted in (False, False, True, False):
        verdict(trusted)
    cloud.fail("host1")
    worker = cloud.worker(after_failures=2)
    worker.once()
    assert cloud.nova.changes == []
    verdict(False)
    worker.once()
    assert len(cloud.nova.changes) == 1


NO_POLICY = CheckResult(current_policy.CHECK, "fail", "no policy", "POLICY_NONE", "write one")


@pytest.mark.parametrize("why", [standing.EXPIRED, NO_POLICY], ids=["silent", "no policy"])
def test_host_of_which_nothing_came_is_left_alone_unless_the_rule_says_otherwise(cloud, why):
    cloud.fail("host1", [why])
    cloud.worker().once()
    assert cloud.nova.changes == []
    cloud.worker(expired=True).once()
    cloud.later(301)
    cloud.worker(expired=True).once()
    assert cloud.nova.status("host1")[0] == "disabled"


def test_what_we_disabled_is_enabled_when_trust_is_back(cloud):
    cloud.fail("host1")
    worker = cloud.worker()
    worker.once()
    cloud.trust("host1")
    worker.once()
    assert cloud.nova.status("host1") == ("enabled", None)
    assert cloud.row("host1") is None
    assert [host for host, _ in cloud.told("service-enabled")] == ["host1"]


def test_without_reenable_it_stays_disabled(cloud):
    cloud.fail("host1")
    worker = cloud.worker(reenable=False)
    worker.once()
    cloud.trust("host1")
    worker.once()
    assert cloud.nova.status("host1")[0] == "disabled"
    assert cloud.told("service-enabled") == []


def test_service_that_somebody_else_disabled_is_never_touched(cloud):
    cloud.nova.disable("host1", "broken fan")
    cloud.fail("host1")
    worker = cloud.worker()
    worker.once()
    cloud.trust("host1")
    worker.once()
    assert cloud.nova.changes == []
    assert cloud.nova.status("host1") == ("disabled", "broken fan")


def test_operator_who_wrote_another_reason_since_then_has_taken_it_over(cloud):
    cloud.fail("host1")
    worker = cloud.worker()
    worker.once()
    cloud.nova.disable("host1", "under investigation")
    cloud.trust("host1")
    worker.once()
    assert cloud.nova.status("host1") == ("disabled", "under investigation")


def test_operator_who_enabled_it_by_hand_is_not_overruled(cloud):
    cloud.fail("host1")
    worker = cloud.worker()
    worker.once()
    cloud.nova.services["host1"].update(status="enabled", disabled_reason=None)
    worker.once()
    assert cloud.nova.status("host1")[0] == "enabled"


def test_evacuation_that_waits_ends_where_an_operator_enabled_the_service(cloud):
    cloud.nova.servers["host1"] = ["vm1"]
    cloud.fail("host1")
    worker = cloud.worker(action="evacuate")
    worker.once()
    assert cloud.row("host1").disabled_at == cloud.now
    cloud.nova.services["host1"].update(status="enabled", disabled_reason=None)
    worker.once()
    cloud.nova.services["host1"]["state"] = "down"
    worker.once()
    assert cloud.nova.status("host1") == ("enabled", None)
    assert cloud.nova.evacuated == []
    assert cloud.row("host1").problem == ""
    ((host, told),) = cloud.told("revocation-overruled")
    assert (host, told.partition(",")[0]) == ("host1", "somebody enabled its compute service")


def test_evacuation_of_a_host_that_others_disabled_ends_as_well_where_they_enabled_it(cloud):
    cloud.nova.disable("host1", "broken fan")
    cloud.nova.servers["host1"] = ["vm1"]
    cloud.fail("host1")
    worker = cloud.worker(action="evacuate")
    worker.once()
    cloud.nova.services["host1"].update(status="enabled", disabled_reason=None)
    worker.once()
    assert cloud.nova.changes == []
    assert len(cloud.told("revocation-overruled")) == 1


def test_host_that_was_overruled_is_acted_on_again_after_it_was_trusted(cloud):
    cloud.fail("host1")
    worker = cloud.worker(action="evacuate")
    worker.once()
    cloud.nova.services["host1"].update(status="enabled", disabled_reason=None)
    worker.once()
    cloud.trust("host1")
    worker.once()
    cloud.fail("host1")
    worker.once()
    assert cloud.nova.status("host1")[0] == "disabled"


def test_too_many_at_once_stop_it_and_say_so_once(cloud):
    for name in ("host1", "host2", "host3"):
        cloud.fail(name)
    worker = cloud.worker()
    worker.once()
    worker.once()
    assert cloud.nova.changes == []
    assert len(cloud.told("revocation-braked")) == 1
    cloud.trust("host3")
    worker.once()
    assert len(cloud.told("revocation-released")) == 1
    assert {host for host, _ in cloud.nova.changes} == {"host1", "host2"}


def test_limit_of_the_hour_ends_after_an_hour(cloud):
    worker = cloud.worker()
    for name in ("host1", "host2", "host3"):
        cloud.fail(name)
        worker.once()
        cloud.later(60)
    assert {host for host, _ in cloud.nova.changes} == {"host1", "host2"}
    cloud.later(3600)
    worker.once()
    assert {host for host, _ in cloud.nova.changes} == {"host1", "host2", "host3"}


def test_nova_that_is_away_is_tried_again_and_told_of_once(cloud):
    cloud.fail("host1")
    cloud.nova.down = True
    worker = cloud.worker()
    for _ in range(3):
        worker.once()
    assert len(cloud.told("revocation-failed")) == 1
    cloud.nova.down = False
    worker.once()
    assert cloud.nova.status("host1")[0] == "disabled"
    assert cloud.row("host1").done


def test_worker_that_dies_after_nova_was_told_leaves_a_note_that_it_was_us(cloud):
    cloud.fail("host1")
    cloud.nova.dies = True
    with pytest.raises(KeyboardInterrupt):
        cloud.worker().once()
    cloud.nova.dies = False
    other = cloud.worker()
    other.once()
    assert not cloud.row("host1").done, "the duty is the dead worker's for a while"
    cloud.later(301)
    other.once()
    assert cloud.row("host1").done
    assert len(cloud.nova.changes) == 1
    cloud.trust("host1")
    other.once()
    assert cloud.nova.status("host1")[0] == "enabled"


def test_of_two_workers_one_acts(cloud):
    cloud.fail("host1")
    one, two = cloud.worker(), cloud.worker()
    one.once()
    two.once()
    assert len(cloud.nova.changes) == 1


def test_evacuation_waits_until_the_host_is_down(cloud):
    cloud.nova.servers["host1"] = ["vm1", "vm2"]
    cloud.fail("host1")
    worker = cloud.worker(action="evacuate")
    worker.once()
    worker.once()
    assert cloud.nova.status("host1")[0] == "disabled"
    assert cloud.nova.evacuated == []
    ((_, told),) = cloud.told("revocation-failed")
    assert told.startswith("NOVA_HOST_UP")
    cloud.nova.services["host1"]["state"] = "down"
    worker.once()
    worker.once()
    assert cloud.nova.evacuated == ["vm1", "vm2"]
    assert not cloud.nova.services["host1"]["forced_down"]
    ((_, told),) = cloud.told("service-evacuated")
    assert told == "Nova was asked to build 2 servers anew elsewhere"


@pytest.fixture
def paused(cloud):
    """A worker on a host that is down, one of whose two servers Nova does not evacuate so."""
    cloud.nova.servers["host1"] = ["vm1", "vm2"]
    cloud.nova.services["host1"]["state"] = "down"
    cloud.nova.busy = {"vm2"}
    cloud.fail("host1")
    return cloud.worker(action="evacuate")


def test_server_that_cannot_be_evacuated_yet_is_asked_for_again_and_no_other_is(cloud, paused):
    """Nova begins another evacuation of a server that it is evacuating."""
    paused.once()
    paused.once()
    assert cloud.nova.evacuated == ["vm1"]
    assert not cloud.row("host1").done
    cloud.nova.busy = set()
    paused.once()
    assert cloud.nova.evacuated == ["vm1", "vm2"]
    assert cloud.row("host1").done
    assert [told for _, told in cloud.told("service-evacuated")] == [
        "Nova was asked to build 1 servers anew elsewhere",
        "Nova was asked to build 1 servers anew elsewhere; 1 are in a state that it evacuates none"
        " from, and are asked for again",
    ]


def test_server_that_cannot_be_evacuated_for_an_hour_stays(cloud, paused):
    paused.once()
    cloud.later(3599)
    paused.once()
    assert not cloud.row("host1").done
    cloud.later(1)
    paused.once()
    assert cloud.row("host1").done
    cloud.nova.busy = set()
    paused.once()
    assert cloud.nova.evacuated == ["vm1"]
    (_, told), _ = cloud.told("service-evacuated")
    assert told.endswith("1 are in a state that it evacuates none from, and stay")


def test_host_that_fails_once_more_is_evacuated_once_more(cloud, paused):
    paused.once()
    cloud.trust("host1")
    paused.once()
    cloud.fail("host1")
    cloud.later(60)
    paused.once()
    assert cloud.nova.evacuated == ["vm1", "vm1"]


def test_worker_that_takes_over_asks_again_for_what_could_not_be_evacuated(cloud, paused):
    paused.once()
    cloud.later(301)
    cloud.nova.servers["host1"], cloud.nova.busy = ["vm2"], set()
    cloud.worker(action="evacuate").once()
    assert cloud.nova.evacuated == ["vm1", "vm2"]


def test_what_was_asked_before_nova_went_away_is_told(cloud):
    cloud.nova.servers["host1"] = ["vm1", "vm2"]
    cloud.nova.services["host1"]["state"] = "down"
    cloud.nova.away_after = "vm1"
    cloud.fail("host1")
    worker = cloud.worker(action="evacuate")
    worker.once()
    cloud.nova.down = False
    worker.once()
    assert cloud.nova.evacuated == ["vm1", "vm2"]
    told = [told for _, told in cloud.told("service-evacuated")]
    assert told == ["Nova was asked to build 1 servers anew elsewhere"] * 2


def test_server_that_nova_does_not_evacuate_keeps_no_other(cloud):
    cloud.nova.servers["host1"] = ["vm1", "vm2", "vm3"]
    cloud.nova.services["host1"]["state"] = "down"
    cloud.nova.stuck = {"vm2"}
    cloud.fail("host1")
    worker = cloud.worker(action="evacuate")
    worker.once()
    worker.once()
    assert cloud.nova.evacuated == ["vm1", "vm3"]
    cloud.nova.servers["host1"] = ["vm2"]
    worker.once()
    assert len(cloud.told("service-evacuated")) == 1
    ((_, told),) = cloud.told("revocation-failed")
    assert told.startswith("NOVA_FAILED: evacuation of vm2: HTTP 400")
    assert not cloud.row("host1").done
    cloud.nova.stuck = set()
    worker.once()
    assert cloud.nova.evacuated[2:] == ["vm2"]
    assert cloud.row("host1").done


def test_all_servers_are_evacuated_however_many(cloud):
    cloud.nova.servers["host1"] = [f"vm{n}" for n in range(450)]
    cloud.nova.services["host1"]["state"] = "down"
    cloud.fail("host1")
    cloud.worker(action="evacuate").once()
    assert cloud.nova.evacuated == cloud.nova.servers["host1"]


def test_forcing_down_is_ours_to_take_back(cloud):
    cloud.nova.servers["host1"] = ["vm1"]
    cloud.fail("host1")
    worker = cloud.worker(action="evacuate", force_down=True)
    worker.once()
    assert cloud.nova.services["host1"]["forced_down"]
    assert cloud.nova.evacuated == ["vm1"]
    cloud.trust("host1")
    worker.once()
    assert not cloud.nova.services["host1"]["forced_down"]
    assert cloud.nova.status("host1") == ("enabled", None)


def test_host_that_an_operator_has_taken_over_stays_forced_down(cloud):
    """Its nova-compute would come up again while he works on the host."""
    cloud.fail("host1")
    worker = cloud.worker(action="evacuate", force_down=True)
    worker.once()
    cloud.nova.disable("host1", "memory is replaced")
    cloud.trust("host1")
    worker.once()
    assert cloud.nova.services["host1"]["forced_down"]
    assert cloud.nova.status("host1") == ("disabled", "memory is replaced")


def test_disable_alone_evacuates_nothing(cloud):
    cloud.nova.servers["host1"] = ["vm1"]
    cloud.nova.services["host1"]["state"] = "down"
    cloud.fail("host1")
    cloud.worker().once()
    assert cloud.nova.evacuated == []


def test_host_without_a_compute_service_is_told_of(cloud):
    del cloud.nova.services["host1"]
    cloud.fail("host1")
    worker = cloud.worker()
    worker.once()
    worker.once()
    ((_, told),) = cloud.told("revocation-failed")
    assert told.startswith("NOVA_SERVICE_UNKNOWN")


def test_removed_host_is_forgotten_and_nova_left_as_it_is(cloud):
    cloud.fail("host1")
    worker = cloud.worker()
    worker.once()
    operator.remove(cloud.database, "host1", cloud.now)
    worker.once()
    assert cloud.row("host1") is None
    assert cloud.nova.status("host1")[0] == "disabled"


@pytest.mark.parametrize("answer", [b"<html>", b"{}", b'{"services": [{"host": "host1"}]}'])
def test_answer_that_is_not_novas_is_a_failed_try(cloud, answer):
    cloud.nova.garbled = answer
    cloud.fail("host1")
    worker = cloud.worker()
    worker.once()
    cloud.nova.garbled = b""
    ((_, told),) = cloud.told("revocation-failed")
    assert told.startswith("NOVA_FAILED")
    worker.once()
    assert cloud.nova.status("host1")[0] == "disabled"
