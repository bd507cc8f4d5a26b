# SPDX-License-Identifier: Apache-2.0
"""barbican: secrets encrypted under a key of this cloud, in the database."""

from __future__ import annotations

from e2ecloud.config.shared import Site
from e2ecloud.ini import Ini
from e2ecloud.layout import CONTROLLER_IP


def controller(site: Site) -> dict[str, Ini]:
    return {
        "barbican/barbican.conf": {
            "DEFAULT": {
                "log_file": site.log_file("barbican"),
                "host_href": f"http://{CONTROLLER_IP}:9311",
                "db_auto_create": False,
                "transport_url": site.transport_url,
            },
            "database": site.database("barbican"),
            "queue": {"enable": False},
            "secretstore": {"enabled_secretstore_plugins": "store_crypto"},
            "crypto": {"enabled_crypto_plugins": "simple_crypto"},
            "simple_crypto_plugin": {"kek": site.credentials.barbican_kek},
            "oslo_policy": {"enforce_scope": True, "enforce_new_defaults": True},
            "keystone_authtoken": site.token_checker("barbican"),
        }
    }
