# SPDX-License-Identifier: Apache-2.0
"""HTTP to other services of the cloud, by an option group of the verifier's configuration."""

from __future__ import annotations

from keystoneauth1 import adapter, loading
from oslo_config import cfg


def adapter_of(conf: cfg.ConfigOpts, group: str) -> adapter.Adapter | None:
    """Return the adapter that option group *group* describes, None where it names no account."""
    auth = loading.load_auth_from_conf_options(conf, group)
    if auth is None:
        return None
    session = loading.load_session_from_conf_options(conf, group, auth=auth)
    return loading.load_adapter_from_conf_options(conf, group, session=session, auth=auth)
