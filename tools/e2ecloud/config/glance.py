# SPDX-License-Identifier: Apache-2.0
"""glance: images in a directory."""

from __future__ import annotations

from e2ecloud.config.shared import SERVICE_TOKENS, Site
from e2ecloud.ini import Ini
from e2ecloud.layout import CONTROLLER_IP


def controller(site: Site) -> dict[str, Ini]:
    state = site.cloud.state
    return {
        "glance/glance-api.conf": {
            "DEFAULT": {
                "log_file": site.log_file("glance"),
                "enabled_backends": "file:file",
                "bind_host": CONTROLLER_IP,
            },
            "glance_store": {"default_backend": "file"},
            "file": {"filesystem_store_datadir": str(state / "images")},
            "os_glance_staging_store": {"filesystem_store_datadir": str(state / "image-staging")},
            "os_glance_tasks_store": {"filesystem_store_datadir": str(state / "image-tasks")},
            "database": site.database("glance"),
            "paste_deploy": {
                "flavor": "keystone",
                "config_file": str(site.cloud.venv / "etc/glance/glance-api-paste.ini"),
            },
            "keystone_authtoken": site.token_checker("glance", **SERVICE_TOKENS),
        }
    }
