# SPDX-License-Identifier: Apache-2.0
"""What becomes of servers when Nova's real scheduler runs our filter: creates and rebuilds.

Every operation is in :mod:`.test_operations`.
"""

from __future__ import annotations

from tests.functional.nova.scheduled_cloud import OTHER_IMAGE, ScheduledCloud


class TestScheduling(ScheduledCloud):
    def test_create_lands_on_the_leased_host_though_another_weighs_more(self) -> None:
        self.verifier.leased = {"host1"}
        server = self.create(self.trusted_flavor())
        assert self.host_of(server) == "host1"
        assert self.verifier.asked == 1

    def test_without_a_leased_host_there_is_no_valid_host(self) -> None:
        server = self.create(self.trusted_flavor(), state="ERROR")
        assert "No valid host" in server["fault"]["message"]
        assert self.verifier.asked == 1

    def test_plain_flavor_goes_where_it_would_and_nobody_is_asked(self) -> None:
        server = self.create(self.flavor())
        assert self.host_of(server) == "host2"
        assert self.verifier.asked == 0

    def test_lease_that_ended_keeps_the_next_server_away(self) -> None:
        self.verifier.leased = {"host1", "host2"}
        flavor = self.trusted_flavor()
        assert self.host_of(self.create(flavor)) == "host2"
        self.verifier.leased = {"host1"}
        assert self.host_of(self.create(flavor)) == "host1"

    def test_cve_2017_16239_rebuild_with_another_image_asks_and_is_refused(self) -> None:
        self.verifier.leased = {"host2"}
        server = self.create(self.trusted_flavor())
        self.verifier.leased = set()
        self.api.post_server_action(server["id"], {"rebuild": {"imageRef": OTHER_IMAGE}})
        server = self._wait_for_state_change(server, "ERROR")
        assert "No valid host" in server["fault"]["message"]
        assert self.verifier.asked == 2

    def test_rebuild_with_another_image_passes_on_a_leased_host(self) -> None:
        self.verifier.leased = {"host2"}
        server = self.create(self.trusted_flavor())
        server = self._rebuild_server(server, OTHER_IMAGE)
        assert self.host_of(server) == "host2"
        assert self.verifier.asked == 2

    def test_cve_2017_17051_asking_at_each_rebuild_claims_nothing(self) -> None:
        self.verifier.leased = {"host2"}
        server = self.create(self.trusted_flavor())
        before = self.claimed(server)
        assert before
        for image in (OTHER_IMAGE, server["image"]["id"], OTHER_IMAGE):
            server = self._rebuild_server(server, image)
            assert self.claimed(server) == before
        assert self.verifier.asked == 4

    def test_cve_2026_46448_internal_hint_of_a_user_does_not_pass_the_filter(self) -> None:
        self.verifier.leased = set()
        asked = self._build_server(flavor_id=self.trusted_flavor(), networks="none")
        hint = {"os:scheduler_hints": {"_nova_check_type": ["rebuild"]}}
        server = self.api.post_server({"server": asked, **hint})
        server = self._wait_for_state_change(server, "ERROR")
        assert "No valid host" in server["fault"]["message"]
