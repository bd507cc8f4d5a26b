# SPDX-License-Identifier: Apache-2.0
"""One cloud for all tests here: to make one takes longer than most of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.functional.nova.services.cloud import Cloud


@pytest.fixture(scope="package")
def one_cloud() -> Iterator[Cloud]:
    # A test case without a test.
    made = Cloud("seen")
    made.setUp()
    yield made
    assert made.doCleanups()


@pytest.fixture
def cloud(one_cloud: Cloud) -> Cloud:
    """The cloud with nobody leased; servers of tests before stay, there is room for 40 a host."""
    one_cloud.verifier.leased, one_cloud.verifier.levels = set(), {}
    return one_cloud
