# SPDX-License-Identifier: Apache-2.0
"""The real cloud, brought up once; the story's chapters run on it in their order."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

_CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(_CHECKOUT / "tools"))


@pytest.fixture(scope="session")
def stage(tmp_path_factory):
    from e2ecloud import Cloud, api
    from e2edemo.__main__ import open_stage
    from e2edemo.report import Teller

    cloud = Cloud.of_checkout()
    ours = api.up(cloud)  # False where it was up: then it is left up
    try:
        yield open_stage(cloud, Teller(), tmp_path_factory.mktemp("story"))
    finally:
        if ours:
            api.down(cloud)
