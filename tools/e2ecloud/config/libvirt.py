# SPDX-License-Identifier: Apache-2.0
"""libvirt's files in a compute host, which has neither systemd nor cgroups of its own."""

from __future__ import annotations

from e2ecloud.layout import Host


def qemu_conf() -> str:
    """qemu.conf; the same on every host, because it is measured."""
    return (
        'user = "root"\n'
        'group = "root"\n'
        'security_driver = "none"\n'
        "cgroup_controllers = []\n"
        "namespaces = []\n"
        'swtpm_user = "tss"\n'
        'swtpm_group = "tss"\n'
    )


def libvirtd_conf(host: Host) -> str:
    return (
        f'host_uuid = "{host.uuid}"\n'
        'auth_unix_rw = "none"\n'
        'unix_sock_rw_perms = "0700"\n'
        'log_outputs = "2:file:/var/log/libvirt/libvirtd.log"\n'
    )
