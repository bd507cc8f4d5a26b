# SPDX-License-Identifier: Apache-2.0
"""Nova's flavor API with our validators."""

from __future__ import annotations

import pytest
from nova.tests.functional.api import client as api_client

from tests.functional.nova.scheduled_cloud import ScheduledCloud


class TestExtraSpecApi(ScheduledCloud):
    microversion = "2.86"

    def refused(self, specs: dict[str, str]) -> None:
        flavor = self.flavor()
        with pytest.raises(api_client.OpenStackApiException) as caught:
            self.admin_api.post_extra_spec(flavor, {"extra_specs": specs})
        assert caught.value.response.status_code == 400
        assert self.admin_api.get_extra_specs(flavor) == {}

    def test_trusted_is_stored(self) -> None:
        flavor = self.trusted_flavor()
        assert self.admin_api.get_extra_specs(flavor) == {"trust:trusted_host": "trusted"}

    def test_wrong_value_is_answered_400(self) -> None:
        self.refused({"trust:trusted_host": "yes"})

    def test_unknown_key_of_our_namespace_is_answered_400(self) -> None:
        self.refused({"trust:level": "3"})

    def test_level_is_stored_and_one_that_is_none_is_answered_400(self) -> None:
        flavor = self.flavor({"trust:min_level": "3"})
        assert self.admin_api.get_extra_specs(flavor) == {"trust:min_level": "3"}
        self.refused({"trust:min_level": "10"})
