# SPDX-License-Identifier: Apache-2.0
"""neutron: no network at all; Nova asks it for security groups even with ``--nic none``."""

from __future__ import annotations

from e2ecloud.config.shared import Site
from e2ecloud.ini import Ini


def controller(site: Site) -> dict[str, Ini]:
    state = site.cloud.state / "neutron"
    return {
        "neutron/neutron.conf": {
            "DEFAULT": {
                "log_file": site.log_file("neutron"),
                "core_plugin": "ml2",
                "service_plugins": "",
                "transport_url": site.transport_url,
                "api_paste_config": str(site.cloud.venv / "etc/neutron/api-paste.ini"),
                "state_path": str(state),
                "notify_nova_on_port_status_changes": False,
                "notify_nova_on_port_data_changes": False,
                "rpc_workers": 0,
                "rpc_state_report_workers": 0,
            },
            "oslo_concurrency": {"lock_path": str(state / "lock")},
            "database": site.database("neutron"),
            "ml2": {
                "type_drivers": "local",
                "tenant_network_types": "local",
                "mechanism_drivers": "",
            },
            "keystone_authtoken": site.token_checker("neutron"),
        }
    }
