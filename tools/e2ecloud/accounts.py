# SPDX-License-Identifier: Apache-2.0
"""The environment that makes ``openstack`` speak for one of the cloud's accounts."""

from __future__ import annotations

from e2ecloud.config.shared import AUTH_URL, Site
from e2ecloud.layout import REGION
from e2ecloud.process import BASE_PATH

PROJECTS = {"admin": "admin", "alice": "demo", "e2etrust": "service"}


def variables(site: Site, user: str) -> dict[str, str]:
    """OS_* variables and PATH for ``user``.

    :raises KeyError: when the cloud has no such person's account.
    """
    return {
        "OS_AUTH_URL": AUTH_URL,
        "OS_USERNAME": user,
        "OS_PASSWORD": site.credentials.password(user),
        "OS_PROJECT_NAME": PROJECTS[user],
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_DOMAIN_NAME": "Default",
        "OS_IDENTITY_API_VERSION": "3",
        "OS_REGION_NAME": REGION,
        "OS_INTERFACE": "public",
        "OS_COMPUTE_API_VERSION": "2.latest",
        "OS_PLACEMENT_API_VERSION": "1.39",
        "PATH": f"{site.cloud.bin}:{BASE_PATH}",
    }
