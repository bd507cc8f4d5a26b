# SPDX-License-Identifier: Apache-2.0
"""Group [service_auth]: the account the verifier uses in other services (keystoneauth options)."""

from __future__ import annotations

from typing import Any

from keystoneauth1 import loading
from oslo_config import cfg

GROUP = cfg.OptGroup("service_auth", title="The verifier's own account")


def register(conf: cfg.ConfigOpts) -> None:
    loading.register_session_conf_options(conf, GROUP.name)
    loading.register_auth_conf_options(conf, GROUP.name)


def documented() -> list[Any]:
    """Return the options for the sample file."""
    return [
        *loading.get_session_conf_options(),
        *loading.get_auth_common_conf_options(),
        *loading.get_auth_plugin_conf_options("password"),
    ]
