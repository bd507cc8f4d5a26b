# SPDX-License-Identifier: Apache-2.0
"""placement."""

from __future__ import annotations

from e2ecloud.config.shared import Site
from e2ecloud.ini import Ini


def controller(site: Site) -> dict[str, Ini]:
    return {
        "placement/placement.conf": {
            "DEFAULT": {"log_file": site.log_file("placement")},
            "api": {"auth_strategy": "keystone"},
            "placement_database": site.database("placement"),
            "keystone_authtoken": site.token_checker("placement"),
        }
    }
