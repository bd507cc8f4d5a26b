# SPDX-License-Identifier: Apache-2.0
"""Every operation of Nova's that gives a server a host: what the filter did, and where it went.

Nova's weigher fixture prefers host3, then host2.  Rebuilds are in :mod:`.test_scheduling`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from nova import utils
from nova.compute import power_state
from nova.policies import base as base_policies
from nova.policies import servers as servers_policies
from nova.tests import fixtures as nova_fixtures
from nova.tests.functional.api import client as api_client
from nova.virt import fake

from tests.functional.nova.services.cloud import IMAGE, Cloud, Server

NOBODY: set[str] = set()
EVERYBODY = {"host1", "host2", "host3"}
TRAIT = "CUSTOM_E2ETRUST_TRUSTED"


# --- create ----------------------------------------------------------------------------------


def test_each_server_of_a_multi_create_lands_on_a_leased_host(cloud: Cloud) -> None:
    cloud.verifier.leased = {"host1", "host2"}
    body = cloud._build_server(image_uuid=IMAGE, flavor_id=cloud.trusted_flavor(), networks="none")
    body |= {"min_count": 4, "max_count": 4}
    before = cloud.verifier.asked
    made = cloud.multi_create(body)
    hosts = [cloud.host_of(cloud._wait_for_state_change(one, "ACTIVE")) for one in made]
    assert (len(hosts), set(hosts) <= {"host1", "host2"}) == (4, True)
    assert cloud.verifier.asked - before == 1


def test_multi_create_without_a_leased_host_makes_none(cloud: Cloud) -> None:
    body = cloud._build_server(image_uuid=IMAGE, flavor_id=cloud.trusted_flavor(), networks="none")
    for one in cloud.multi_create(body | {"min_count": 2, "max_count": 2}):
        failed = cloud._wait_for_state_change(one, "ERROR")
        assert "No valid host" in failed["fault"]["message"]
        assert cloud.host_of(failed) is None


def test_create_on_a_named_host_is_filtered(cloud: Cloud) -> None:
    cloud.verifier.leased = {"host1"}
    flavor = cloud.trusted_flavor()
    assert cloud.host_of(cloud.create(flavor, host="host1")) == "host1"
    refused = cloud.create(flavor, state="ERROR", host="host2")
    assert (cloud.host_of(refused), cloud.verifier.asked > 0) == (None, True)


def test_create_forced_with_az_and_host_never_asks(cloud: Cloud) -> None:
    made: list[Server] = []
    flavor = cloud.trusted_flavor()
    asked = cloud.asked_during(lambda: made.append(cloud.create(flavor, az="nova:host2")))
    assert (asked, cloud.host_of(made[0])) == (0, "host2")


def test_retry_goes_to_a_host_that_passed_then_without_asking_again(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.verifier.leased = {"host1", "host2"}
    spawn = fake.FakeDriver.spawn

    def fails_on_host2(driver: Any, context: Any, instance: Any, *args: Any, **kw: Any) -> Any:
        if instance.host == "host2":
            cloud.verifier.leased = set()
            raise RuntimeError("no")
        return spawn(driver, context, instance, *args, **kw)

    monkeypatch.setattr(fake.FakeDriver, "spawn", fails_on_host2)
    made: list[Server] = []
    flavor = cloud.trusted_flavor()
    asked = cloud.asked_during(lambda: made.append(cloud.create(flavor)))
    assert (asked, cloud.host_of(made[0])) == (1, "host1")


def test_level_is_demanded_of_the_host(cloud: Cloud) -> None:
    cloud.verifier.leased, cloud.verifier.levels = EVERYBODY, {"host1": 2, "host2": 1}
    assert cloud.host_of(cloud.create(cloud.flavor({"trust:min_level": "2"}))) == "host1"
    refused = cloud.create(cloud.flavor({"trust:min_level": "3"}), state="ERROR")
    assert "No valid host" in refused["fault"]["message"]


def test_aggregate_demands_trust_whatever_the_flavor(cloud: Cloud) -> None:
    number = cloud._create_aggregate("trusted-only")
    for host in ("host2", "host3"):
        cloud.api.add_host_to_aggregate(number, host)
    cloud.api.post_aggregate_action(
        number, {"set_metadata": {"metadata": {"trust:trusted_host": "trusted"}}}
    )
    try:
        flavor = cloud.flavor()
        assert cloud.host_of(cloud.create(flavor)) == "host1"
        cloud.verifier.leased = {"host2"}
        assert cloud.host_of(cloud.create(flavor)) == "host2"
        # A forced host is nobody's question: there the gate has to say no.
        cloud.verifier.leased = set()
        assert cloud.host_of(cloud.create(flavor, az="nova:host3")) == "host3"
    finally:
        for host in ("host2", "host3"):
            cloud.api.api_post(f"/os-aggregates/{number}/action", {"remove_host": {"host": host}})
        cloud.api.delete_aggregate(number)


def test_trait_required_by_an_image_is_held_by_placement_and_by_the_filter(cloud: Cloud) -> None:
    image = cloud._create_image({f"trait:{TRAIT}": "required", "trust:trusted_host": "trusted"})
    cloud._create_trait(TRAIT)
    # Of a trait that was left behind the filter knows better.
    for host in ("host1", "host3"):
        cloud._set_provider_traits(cloud._get_provider_uuid_by_name(host), [TRAIT])
    cloud.verifier.leased = {"host1", "host2"}
    try:
        server = cloud._create_server(
            image_uuid=image["id"], flavor_id=cloud.flavor(), networks="none"
        )
        assert cloud.host_of(server) == "host1"
    finally:
        for host in ("host1", "host3"):
            cloud._set_provider_traits(cloud._get_provider_uuid_by_name(host), [])
        cloud.glance.delete(None, image["id"])


def test_other_image_properties_of_ours_never_reach_the_filter(cloud: Cloud) -> None:
    image = cloud._create_image({"trust:trusted_host": "trusted", "e2etrust_sealed": "full"})
    try:
        made: list[Server] = []

        def create() -> None:
            made.append(
                cloud._create_server(
                    image_uuid=image["id"], flavor_id=cloud.flavor(), networks="none"
                )
            )

        assert cloud.asked_during(create) == 0
        assert cloud.host_of(made[0]) == "host3"
    finally:
        cloud.glance.delete(None, image["id"])


def test_affinity_of_a_server_group_does_not_outweigh_trust(cloud: Cloud) -> None:
    group = cloud.api.post_server_groups({"name": "together", "policy": "affinity", "rules": {}})
    body = cloud._build_server(image_uuid=IMAGE, flavor_id=cloud.trusted_flavor(), networks="none")

    def member(state: str) -> Server:
        hint = {"os:scheduler_hints": {"group": group["id"]}}
        return cloud._wait_for_state_change(cloud.api.post_server({"server": body, **hint}), state)

    cloud.verifier.leased = {"host1", "host2"}
    assert cloud.host_of(member("ACTIVE")) == "host2"
    cloud.verifier.leased = {"host1"}
    assert "No valid host" in member("ERROR")["fault"]["message"]


# --- moves that ask --------------------------------------------------------------------------


def test_cold_migration_goes_to_a_leased_host(cloud: Cloud) -> None:
    server = cloud.on("host2")
    cloud.verifier.leased = {"host1", "host2"}
    cloud._migrate_server(server)
    assert cloud.seen(server) == ("VERIFY_RESIZE", "host1")


def test_refused_cold_migration_leaves_the_server_active_where_it_was(cloud: Cloud) -> None:
    server = cloud.on("host2")
    asked = cloud.asked_during(
        lambda: (cloud.act(server, "migrate"), cloud.refused_move(server, "migrate"))
    )
    assert (asked, cloud.seen(server)) == (1, ("ACTIVE", "host2"))


def test_cold_migration_to_a_named_host_is_filtered(cloud: Cloud) -> None:
    server = cloud.on("host2")
    cloud.verifier.leased = {"host1"}
    cloud.act(server, "migrate", {"host": "host3"})
    cloud.refused_move(server, "migrate")
    assert cloud.seen(server) == ("ACTIVE", "host2")
    cloud._migrate_server(server, host="host1")
    assert cloud.seen(server) == ("VERIFY_RESIZE", "host1")


def test_resize_is_asked_by_the_new_flavor(cloud: Cloud) -> None:
    server = cloud.create(cloud.flavor())
    assert cloud.host_of(server) == "host3"
    trusted = cloud.trusted_flavor()
    cloud.act(server, "resize", {"flavorRef": trusted})
    cloud.refused_move(server, "resize")
    assert cloud.seen(server) == ("ACTIVE", "host3")
    cloud.verifier.leased = {"host1"}
    cloud._resize_server(server, trusted)
    assert cloud.seen(server) == ("VERIFY_RESIZE", "host1")


@pytest.fixture
def host5(cloud: Cloud) -> Iterator[None]:
    """A compute in the other cell."""
    cloud._start_compute("host5", cell_name="cell2")
    rule = {servers_policies.CROSS_CELL_RESIZE: base_policies.RULE_ADMIN_API}
    cloud.policy.set_rules(rule, overwrite=False)
    yield
    (service,) = cloud.api.get_services(host="host5", binary="nova-compute")
    cloud.api.put_service(service["id"], {"status": "disabled"})


def test_resize_into_another_cell_is_filtered(cloud: Cloud, host5: None) -> None:
    server = cloud.on("host2")
    flavor = cloud.trusted_flavor()
    cloud.act(server, "resize", {"flavorRef": flavor})
    cloud.refused_move(server, "resize")
    assert cloud.seen(server) == ("ACTIVE", "host2")
    cloud.verifier.leased = {"host5"}
    asked = cloud.asked_during(lambda: cloud._resize_server(server, flavor))
    assert (asked, cloud.seen(server)) == (1, ("VERIFY_RESIZE", "host5"))


def test_live_migration_goes_to_a_leased_host(cloud: Cloud) -> None:
    server = cloud.on("host2")
    cloud.verifier.leased = {"host1"}
    cloud._live_migrate(server)
    assert cloud.seen(server) == ("ACTIVE", "host1")


@pytest.mark.parametrize("target", [None, "host3"])
def test_refused_live_migration_leaves_the_server_active_where_it_was(
    cloud: Cloud, target: str | None
) -> None:
    server = cloud.on("host2")
    # Of a named host only that one is looked at.
    cloud.verifier.leased = {"host1"} if target else set()
    cloud.act(server, "os-migrateLive", {"host": target, "block_migration": "auto"})
    cloud._wait_for_migration_status(server, ["error"])
    cloud._wait_for_server_parameter(server, {"OS-EXT-STS:task_state": None})
    assert cloud.seen(server) == ("ACTIVE", "host2")


def test_forced_live_migration_never_asks(cloud: Cloud) -> None:
    server = cloud.on("host2")
    body = {"host": "host3", "block_migration": "auto", "force": True}

    def migrate() -> None:
        with utils.temporary_mutation(cloud.api, microversion="2.67"):
            cloud.act(server, "os-migrateLive", body)
        cloud._wait_for_migration_status(server, ["completed"])

    assert cloud.asked_during(migrate) == 0
    assert cloud.seen(server) == ("ACTIVE", "host3")


class TestEvacuation:
    @pytest.fixture(scope="class")
    def lost(self, one_cloud: Cloud) -> Iterator[list[Server]]:
        """Trusted servers, one for each test, whose host2 is down."""
        one_cloud.verifier.leased = {"host2"}
        body = one_cloud._build_server(
            image_uuid=IMAGE, flavor_id=one_cloud.trusted_flavor(), networks="none"
        )
        made = one_cloud.multi_create(body | {"min_count": 4, "max_count": 4})
        servers = [one_cloud._wait_for_state_change(one, "ACTIVE") for one in made]
        one_cloud.down("host2")
        yield servers
        one_cloud.restart("host2")

    def test_evacuation_goes_to_a_leased_host(self, cloud: Cloud, lost: list[Server]) -> None:
        cloud.verifier.leased = {"host1"}
        cloud._evacuate_server(lost.pop(), expected_state="ACTIVE", expected_host="host1")

    @pytest.mark.parametrize("target", [{}, {"host": "host3"}])
    def test_refused_evacuation_leaves_the_server_in_error(
        self, cloud: Cloud, lost: list[Server], target: dict[str, str]
    ) -> None:
        server = lost.pop()
        cloud.verifier.leased = {"host1"} if target else set()
        cloud.act(server, "evacuate", target)
        failed = cloud._wait_for_state_change(server, "ERROR")
        assert "No valid host" in failed["fault"]["message"]
        assert cloud.host_of(failed) == "host2"

    def test_forced_evacuation_never_asks(self, cloud: Cloud, lost: list[Server]) -> None:
        def evacuate() -> None:
            with utils.temporary_mutation(cloud.api, microversion="2.67"):
                cloud._evacuate_server(
                    lost.pop(),
                    {"host": "host3", "force": True},
                    expected_state="ACTIVE",
                    expected_host="host3",
                )

        assert cloud.asked_during(evacuate) == 0


def test_unshelve_of_an_offloaded_server_asks(cloud: Cloud) -> None:
    server = cloud.on("host2")
    cloud._shelve_server(server)
    zone = {"availability_zone": "nova"}
    for body, leased in ((None, NOBODY), (zone, NOBODY), ({"host": "host3"}, {"host1"})):
        cloud.verifier.leased = leased
        cloud.act(server, "unshelve", body)
        cloud._wait_for_action_fail_completion(server, "unshelve", "schedule_instances")
        cloud._wait_for_server_parameter(server, {"OS-EXT-STS:task_state": None})
        assert cloud.seen(server) == ("SHELVED_OFFLOADED", None)
    cloud._unshelve_server(server)
    assert cloud.seen(server) == ("ACTIVE", "host1")


# --- what never asks -------------------------------------------------------------------------


def test_rebuild_with_the_same_image_never_asks(cloud: Cloud) -> None:
    server = cloud.on("host2")
    assert cloud.asked_during(lambda: cloud._rebuild_server(server, IMAGE)) == 0
    assert cloud.seen(server) == ("ACTIVE", "host2")


def test_start_reboot_resume_and_unrescue_never_ask(cloud: Cloud) -> None:
    server = cloud.on("host2")

    def all_of_them() -> None:
        cloud._stop_server(server)
        cloud._start_server(server)
        cloud._reboot_server(server)
        cloud._reboot_server(server, hard=True)
        cloud._suspend_server(server)
        cloud._resume_server(server)
        cloud.act(server, "pause")
        cloud._wait_for_state_change(server, "PAUSED")
        cloud.act(server, "unpause")
        cloud._wait_for_state_change(server, "ACTIVE")
        cloud._rescue_server(server)
        cloud._unrescue_server(server)

    assert cloud.asked_during(all_of_them) == 0
    assert cloud.seen(server) == ("ACTIVE", "host2")


def test_what_starts_nothing_never_asks(cloud: Cloud) -> None:
    server, volume = cloud.on("host2"), nova_fixtures.CinderFixture.IMAGE_BACKED_VOL
    network = {"interfaceAttachment": {"net_id": cloud.neutron.network_1["id"]}}

    def all_of_them() -> None:
        cloud._attach_volume(server, volume)
        cloud.api.delete_server_volume(server["id"], volume)
        cloud._wait_for_volume_detach(server["id"], volume)
        attached = cloud.api.attach_interface(server["id"], network)
        cloud._detach_interface(server, attached.body["interfaceAttachment"]["port_id"])
        cloud._snapshot_server(server, "copy")
        cloud._wait_for_server_parameter(server, {"OS-EXT-STS:task_state": None})

    assert cloud.asked_during(all_of_them) == 0
    assert cloud.seen(server) == ("ACTIVE", "host2")


def test_deleted_server_that_is_restored_never_asks(cloud: Cloud) -> None:
    server = cloud.on("host2")
    cloud.flags(reclaim_instance_interval=600)
    try:
        cloud.api.delete_server(server["id"])
        cloud._wait_for_state_change(server, "SOFT_DELETED")
        cloud.act(server, "restore")
        asked = cloud.asked_during(lambda: cloud._wait_for_state_change(server, "ACTIVE"))
    finally:
        cloud.flags(reclaim_instance_interval=0)
    assert (asked, cloud.seen(server)) == (0, ("ACTIVE", "host2"))


def test_servers_that_a_host_starts_at_its_boot_never_ask(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, resumed = cloud.on("host2"), []

    def resume(driver: Any, context: Any, instance: Any, *_args: Any) -> None:
        resumed.append(instance.uuid)
        driver.power_on(context, instance, None)

    monkeypatch.setattr(fake.FakeDriver, "resume_state_on_host_boot", resume)
    cloud.computes["host2"].manager.driver.instances[server["id"]].state = power_state.SHUTDOWN
    cloud.flags(resume_guests_state_on_host_boot=True)
    try:
        assert cloud.asked_during(lambda: cloud.restart("host2")) == 0
    finally:
        cloud.flags(resume_guests_state_on_host_boot=False)
    assert resumed == [server["id"]]
    assert cloud.seen(server) == ("ACTIVE", "host2")


def test_reverted_resize_goes_back_without_asking(cloud: Cloud) -> None:
    server = cloud.on("host2")
    cloud.verifier.leased = {"host1"}
    cloud._migrate_server(server)
    assert cloud.asked_during(lambda: cloud._revert_resize(server)) == 0
    assert cloud.seen(server) == ("ACTIVE", "host2")


def test_confirmed_resize_stays_without_asking(cloud: Cloud) -> None:
    server = cloud.on("host2")
    cloud.verifier.leased = {"host1"}
    cloud._migrate_server(server)
    cloud.verifier.leased = set()
    assert cloud.asked_during(lambda: cloud._confirm_resize(server)) == 0
    assert cloud.seen(server) == ("ACTIVE", "host1")


def test_unshelve_of_a_server_that_was_not_offloaded_never_asks(cloud: Cloud) -> None:
    server = cloud.on("host2")
    cloud.flags(shelved_offload_time=-1)
    try:
        cloud._shelve_server(server, expected_state="SHELVED")
        assert cloud.asked_during(lambda: cloud._unshelve_server(server)) == 0
    finally:
        cloud.flags(shelved_offload_time=0)
    assert cloud.seen(server) == ("ACTIVE", "host2")


def test_user_may_not_force_a_host(cloud: Cloud) -> None:
    user = cloud.api_fixture.api
    body = cloud._build_server(
        image_uuid=IMAGE, flavor_id=cloud.trusted_flavor(), networks="none", az="nova:host2"
    )
    with (
        utils.temporary_mutation(user, microversion=cloud.microversion),
        pytest.raises(api_client.OpenStackApiException) as caught,
    ):
        user.post_server({"server": body})
    assert caught.value.response.status_code == 403
