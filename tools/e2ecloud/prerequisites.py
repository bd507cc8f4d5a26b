# SPDX-License-Identifier: Apache-2.0
"""What the machine must have before a cloud is started; all that is missing is told at once."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from e2ecloud.errors import CloudError
from e2ecloud.layout import Cloud

_PROGRAMS = (
    *("unshare", "nsenter", "ip", "mariadbd", "mariadb-install-db", "libvirtd", "virtlogd"),
    *("qemu-system-x86_64", "qemu-img", "swtpm", "swtpm_setup", "tpm2_startup"),
)
_FILES = ("/usr/lib/rabbitmq/bin/rabbitmq-server", "/usr/share/OVMF/OVMF_CODE_4M.fd", "/dev/fuse")


def check(cloud: Cloud) -> None:
    """:raises CloudError: naming everything that is missing, and what installs it."""
    if os.geteuid() != 0:
        raise CloudError("tools/cloud makes namespaces and mounts", remedy="run it as root")
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = [name for name in _PROGRAMS if shutil.which(name, path=path) is None]
    missing += [name for name in _FILES if not Path(name).exists()]
    missing += [
        str(tool)
        for tool in (cloud.bin / "nova-compute", cloud.bin / "python")
        if not tool.exists()
    ]
    if missing:
        raise CloudError(f"missing: {', '.join(missing)}", remedy="install it: tools/install")
