# SPDX-License-Identifier: Apache-2.0
"""Nova's flavor API with our validators."""

from __future__ import annotations

import pytest
from nova.tests.functional.api import client as api_client

from tests.functional.nova.services.cloud import Cloud


def test_trusted_and_a_level_are_stored(cloud: Cloud) -> None:
    specs = {"trust:trusted_host": "trusted", "trust:min_level": "3"}
    assert cloud.admin_api.get_extra_specs(cloud.flavor(specs)) == specs


@pytest.mark.parametrize(
    "specs",
    [{"trust:trusted_host": "yes"}, {"trust:level": "3"}, {"trust:min_level": "10"}],
    ids=["value", "key", "level"],
)
def test_wrong_value_and_unknown_key_are_answered_400(cloud: Cloud, specs: dict[str, str]) -> None:
    flavor = cloud.flavor()
    with pytest.raises(api_client.OpenStackApiException) as caught:
        cloud.admin_api.post_extra_spec(flavor, {"extra_specs": specs})
    assert caught.value.response.status_code == 400
    assert cloud.admin_api.get_extra_specs(flavor) == {}
