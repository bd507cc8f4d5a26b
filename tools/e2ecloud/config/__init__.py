# SPDX-License-Identifier: Apache-2.0
"""The configuration files of every service, as an operator writes them.

``render_all`` returns path (below ``etc/`` of the cloud) -> text; one module a service.
"""

from __future__ import annotations

from e2ecloud.config import barbican, glance, keystone, neutron, nova, placement
from e2ecloud.config.shared import Site
from e2ecloud.ini import render


def render_controller(site: Site) -> dict[str, str]:
    """Every file of the controller but E2ETrust's own (it needs a user's ID first)."""
    files = {}
    for module in (keystone, glance, placement, neutron, barbican, nova):
        files.update(module.controller(site))
    return {path: render(ini) for path, ini in files.items()}
