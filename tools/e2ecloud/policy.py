# SPDX-License-Identifier: Apache-2.0
"""The verifier's policy for the cloud's hosts, computed from the files that were installed."""

from __future__ import annotations

from e2ecloud import eventlog, firmware
from e2ecloud.config import e2etrust, libvirt
from e2ecloud.layout import Cloud
from e2ecloud.software import release

LEASE_SECONDS = 30


def render(cloud: Cloud) -> str:
    """YAML of the policy ``compute``: PCRs 0-9 of a host that runs the release."""
    values = eventlog.replay(_golden_events(cloud), "sha256")
    lines = ["name: compute", 'hosts: ["*"]', "pcrs:", "  sha256:"]
    lines += [f'    {pcr}: ["{values[pcr].hex()}"]' for pcr in firmware.PCRS if pcr in values]
    lines.append(f"event_log_pcrs: [{', '.join(str(p) for p in firmware.PCRS if p in values)}]")
    lines.append(f"lease_seconds: {LEASE_SECONDS}")
    lines.append("recovery: operator")
    return "\n".join(lines) + "\n"


def _golden_events(cloud: Cloud) -> list[eventlog.Event]:
    configured = {
        firmware.HOOK: e2etrust.hook(cloud).encode(),
        firmware.QEMU_CONF: libvirt.qemu_conf().encode(),
    }

    def read(path: str) -> bytes:
        return configured[path] if path in configured else firmware.read_file(path)

    return firmware.events(read, firmware.tree_listing(release(cloud)))
