# SPDX-License-Identifier: Apache-2.0
"""Options by which the verifier logs in to another service of the cloud (keystoneauth)."""

from __future__ import annotations

from typing import Any

from keystoneauth1 import loading
from oslo_config import cfg


def register(conf: cfg.ConfigOpts, group: str) -> None:
    """Register an account in *group*."""
    loading.register_session_conf_options(conf, group)
    loading.register_auth_conf_options(conf, group)


def register_service(conf: cfg.ConfigOpts, group: str, service_type: str) -> None:
    """Register an account in *group*, and where the service of that type is."""
    register(conf, group)
    loading.register_adapter_conf_options(conf, group)
    conf.set_default("service_type", service_type, group)


def options() -> list[Any]:
    """Return an account's options for the sample file."""
    return [
        *loading.get_session_conf_options(),
        *loading.get_auth_common_conf_options(),
        *loading.get_auth_plugin_conf_options("password"),
    ]


def service_options() -> list[Any]:
    """Return those of an account and a service for the sample file."""
    return [*options(), *loading.get_adapter_conf_options()]
