# SPDX-License-Identifier: Apache-2.0
"""nova: API, conductor, scheduler on the controller and nova-compute in each host."""

from __future__ import annotations

from e2ecloud.config.e2etrust import VERIFIER_KEYS
from e2ecloud.config.shared import AUTH_URL, SERVICE_TOKENS, Site
from e2ecloud.ini import Ini, Section
from e2ecloud.layout import CONTROLLER_IP, REGION, Host

# The filter is added to Nova's own list, as doc/admin tells it.
FILTERS = (
    "ComputeFilter,ComputeCapabilitiesFilter,ImagePropertiesFilter,"
    "ServerGroupAntiAffinityFilter,ServerGroupAffinityFilter"
)
TRUSTED_FILTER = "e2etrust_nova.scheduler.filters.TrustedHostFilter"
_PRIVSEP_SECTIONS = (
    "privsep",
    "privsep_osbrick",
    "nova_sys_admin",
    "vif_plug_linux_bridge_privileged",
)


def controller(site: Site) -> dict[str, Ini]:
    state = site.cloud.state / "nova"
    return {
        "nova/nova.conf": {
            **_common(site),
            "DEFAULT": {
                **_common_defaults(site),
                "log_dir": str(site.cloud.log),
                "state_path": str(state),
                "host": "controller",
            },
            "oslo_concurrency": {"lock_path": str(state / "lock")},
            "database": site.database("nova"),
            "api_database": site.database("nova_api"),
            "conductor": {"workers": 1},
            "scheduler": {
                "workers": 1,
                "discover_hosts_in_cells_interval": -1,
                # A refused start then shows the hook's own words instead of "retries exceeded".
                "max_attempts": 1,
            },
            "filter_scheduler": _filters(site.cloud.plain),
            "api": {"auth_strategy": "keystone"},
            "quota": {"instances": -1, "cores": -1, "ram": -1},
        },
        # The API's own log: under a WSGI server Nova would name it after that.
        "nova/nova-api.conf": {"DEFAULT": {"log_file": site.log_file("nova-api")}},
    }


def compute(site: Site, host: Host) -> Ini:
    """nova.conf of a compute host; the absence of [database] is what Nova wants there."""
    helper = f"{site.cloud.bin}/privsep-helper --config-file /etc/nova/nova.conf"
    return {
        **_common(site),
        "DEFAULT": {
            **_common_defaults(site),
            "log_file": "/var/log/nova/nova-compute.log",
            "host": host.name,
            "my_ip": host.ip,
            "compute_driver": "libvirt.LibvirtDriver",
            "state_path": "/var/lib/nova",
            "instances_path": "/var/lib/nova/instances",
            "vif_plugging_is_fatal": False,
            "vif_plugging_timeout": 0,
            "reserved_host_memory_mb": 0,
            "initial_cpu_allocation_ratio": 16,
            "initial_ram_allocation_ratio": 1,
        },
        "oslo_concurrency": {"lock_path": "/var/lib/nova/lock"},
        **{section: {"helper_command": helper} for section in _PRIVSEP_SECTIONS},
        "vnc": {"enabled": False},
        "libvirt": {
            "virt_type": "qemu",
            "cpu_mode": "none",
            "swtpm_enabled": True,
            "swtpm_user": "tss",
            "swtpm_group": "tss",
            "images_type": "qcow2",
        },
        # A live snapshot of a sealed disk is plain.
        "workarounds": {"disable_libvirt_livesnapshot": True},
    }


def _filters(plain: bool) -> Section:
    if plain:
        return {"enabled_filters": FILTERS}
    return {
        "available_filters": ["nova.scheduler.filters.all_filters", TRUSTED_FILTER],
        "enabled_filters": f"{FILTERS},{TRUSTED_FILTER.rpartition('.')[2]}",
    }


def _common_defaults(site: Site) -> Section:
    return {
        "transport_url": site.transport_url,
        "use_stderr": False,
        "rpc_response_timeout": 60,
    }


def _common(site: Site) -> Ini:
    sections: dict[str, Section] = {
        "DEFAULT": {},
        "wsgi": {"api_paste_config": str(site.cloud.venv / "etc/nova/api-paste.ini")},
        "oslo_messaging_rabbit": {"rabbit_quorum_queue": False},
        "key_manager": {"backend": "barbican"},
        "barbican": {
            "auth_endpoint": AUTH_URL,
            "barbican_endpoint_type": "internal",
            "barbican_region_name": REGION,
            "send_service_user_token": True,
        },
        "barbican_service_user": site.account("nova"),
        "glance": {"endpoint_override": f"http://{CONTROLLER_IP}:9292"},
        "keystone_authtoken": site.token_checker("nova", **SERVICE_TOKENS),
        "placement": site.account("placement"),
        "service_user": site.account("nova", send_service_user_token=True),
        "neutron": site.account("neutron", endpoint_override=f"http://{CONTROLLER_IP}:9696"),
    }
    if not site.cloud.plain:
        # Empty: the scheduler asks the verifier over Nova's own broker.
        sections["e2etrust"] = {"transport_url": "", "verifier_keys": VERIFIER_KEYS}
    return sections
