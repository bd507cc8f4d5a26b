# SPDX-License-Identifier: Apache-2.0
"""What becomes of servers when Nova's real scheduler runs our filter: creates and rebuilds.

Every operation is in :mod:`.test_operations`.
"""

from __future__ import annotations

from tests.functional.nova.services.cloud import IMAGE, OTHER_IMAGE, Cloud


def test_create_lands_on_the_leased_host_though_another_weighs_more(cloud: Cloud) -> None:
    flavor = cloud.trusted_flavor()
    asked = cloud.verifier.asked
    cloud.verifier.leased = {"host1", "host2"}
    assert cloud.host_of(cloud.create(flavor)) == "host2"
    # A lease that ended keeps the next server away.
    cloud.verifier.leased = {"host1"}
    assert cloud.host_of(cloud.create(flavor)) == "host1"
    assert cloud.verifier.asked == asked + 2


def test_without_a_leased_host_there_is_no_valid_host(cloud: Cloud) -> None:
    asked = cloud.verifier.asked
    server = cloud.create(cloud.trusted_flavor(), state="ERROR")
    assert "No valid host" in server["fault"]["message"]
    assert cloud.verifier.asked == asked + 1


def test_plain_flavor_goes_where_it_would_and_nobody_is_asked(cloud: Cloud) -> None:
    asked = cloud.verifier.asked
    assert cloud.host_of(cloud.create(cloud.flavor())) == "host3"
    assert cloud.verifier.asked == asked


def test_cve_2017_16239_rebuild_with_another_image_asks_and_is_refused(cloud: Cloud) -> None:
    server = cloud.on("host2")
    # Others are no help: a rebuild stays where it is.
    cloud.verifier.leased = {"host1"}
    asked = cloud.verifier.asked
    cloud.act(server, "rebuild", {"imageRef": OTHER_IMAGE})
    failed = cloud._wait_for_state_change(server, "ERROR")
    assert "No valid host" in failed["fault"]["message"]
    assert (cloud.host_of(failed), cloud.verifier.asked) == ("host2", asked + 1)


def test_cve_2017_17051_asking_at_each_rebuild_claims_nothing(cloud: Cloud) -> None:
    """For the server or for anybody else: the host is not full after some rebuilds."""
    server = cloud.on("host2")
    cloud.verifier.leased = {"host2"}
    asked, before, used = cloud.verifier.asked, cloud.claimed(server), cloud.used("host2")
    assert before
    for image in (OTHER_IMAGE, IMAGE):
        server = cloud._rebuild_server(server, image)
        assert (cloud.host_of(server), cloud.claimed(server)) == ("host2", before)
        assert cloud.used("host2") == used
    assert cloud.verifier.asked == asked + 2


def test_cve_2026_46448_internal_hint_of_a_user_does_not_pass_the_filter(cloud: Cloud) -> None:
    asked = cloud._build_server(flavor_id=cloud.trusted_flavor(), networks="none")
    hint = {"os:scheduler_hints": {"_nova_check_type": ["rebuild"]}}
    server = cloud.api.post_server({"server": asked, **hint})
    server = cloud._wait_for_state_change(server, "ERROR")
    assert "No valid host" in server["fault"]["message"]
