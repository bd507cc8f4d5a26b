# SPDX-License-Identifier: Apache-2.0
"""E2ETrust's own files, as doc/admin tells an operator to write them."""

from __future__ import annotations

from e2ecloud import firmware, tpm
from e2ecloud.config.shared import AUTH_URL, Site
from e2ecloud.ini import Ini
from e2ecloud.layout import REGION, Cloud, Host

VERIFIER_KEYS = "/etc/e2etrust/verifier-keys.json"


def verifier(site: Site, user_id: str) -> Ini:
    """verifier.conf; ``user_id`` is the verifier's own account, which tenants let read keys."""
    return {
        "DEFAULT": {"transport_url": site.transport_url},
        "database": site.database("e2etrust"),
        "verifier": {
            "policy_dir": "/etc/e2etrust/host-policy.d",
            "signing_key": "/etc/e2etrust/signing-key.pem",
            "ek_ca_bundle": "/etc/e2etrust/ek-ca.pem",
            "key_user_id": user_id,
        },
        "keystone_authtoken": site.token_checker("e2etrust"),
        "service_auth": site.account("e2etrust"),
        "placement": site.account("e2etrust"),
        "key_manager": {"backend": "barbican"},
        "barbican": {
            "auth_endpoint": AUTH_URL,
            "barbican_endpoint_type": "internal",
            "barbican_region_name": REGION,
        },
    }


def agent(site: Site, host: Host) -> Ini:
    return {
        "DEFAULT": {"transport_url": site.transport_url, "host": host.name},
        "agent": {
            "tcti": tpm.TCTI,
            "suite": "ecc-p256-sha256",
            "event_log": firmware.EVENT_LOG,
            "verifier_keys": VERIFIER_KEYS,
        },
    }


def hook(cloud: Cloud) -> str:
    """The script that libvirt runs for every domain, /etc/libvirt/hooks/qemu."""
    return (
        "#!/bin/sh\n"
        "# E2ETrust: libvirt asks here before it starts a domain.\n"
        f'exec {cloud.bin}/e2etrust-libvirt-hook "$@"\n'
    )
