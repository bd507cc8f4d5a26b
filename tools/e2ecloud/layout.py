# SPDX-License-Identifier: Apache-2.0
"""Where everything of a cloud lies, and its fixed names and addresses."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
CONTROLLER_IP = "172.30.0.1"
PREFIX_LENGTH = 24
REGION = "RegionOne"
DATABASE_PORT = 3306
BROKER_PORT = 5672

PLAIN_MARK = "run/plain"
# In the cloud's own tmpfs /run, so that no socket is ever left on the machine's disk.
RUN_DIR = Path("/run/e2ecloud")
TPM_RUN_DIR = Path("/run/e2etrust-tpm")


@dataclass(frozen=True)
class Host:
    """A compute host: its name, address and the UUID that its libvirtd reports."""

    name: str
    ip: str
    uuid: str


HOSTS = (
    Host("host1", "172.30.0.11", "11111111-1111-4111-8111-111111111111"),
    Host("host2", "172.30.0.12", "22222222-2222-4222-8222-222222222222"),
)


def host_named(name: str) -> Host:
    """:raises KeyError: when the cloud has no such host."""
    for host in HOSTS:
        if host.name == name:
            return host
    raise KeyError(name)


@dataclass(frozen=True)
class Cloud:
    """The directories of one cloud. ``root`` is ``.cloud/`` of the checkout by default."""

    root: Path
    checkout: Path = CHECKOUT
    plain: bool = False

    @classmethod
    def of_checkout(cls) -> Cloud:
        """The cloud that the environment names: $E2ETRUST_CLOUD, $E2ETRUST_CLOUD_PLAIN."""
        root = Path(os.environ.get("E2ETRUST_CLOUD") or CHECKOUT / ".cloud").resolve()
        asked = bool(os.environ.get("E2ETRUST_CLOUD_PLAIN"))
        # A cloud that runs stays what it was started as.
        return cls(root, CHECKOUT, asked or (root / PLAIN_MARK).exists())

    @property
    def venv(self) -> Path:
        return self.checkout / ".venv"

    @property
    def bin(self) -> Path:
        return self.venv / "bin"

    @property
    def etc(self) -> Path:
        return self.root / "etc"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def state(self) -> Path:
        """Data that lives as long as the cloud is up."""
        return self.root / "state"

    @property
    def run(self) -> Path:
        """What is running: one record a namespace and a service."""
        return self.root / "run"

    @property
    def cache(self) -> Path:
        """What survives ``down``: database template, guest kernel and images."""
        return self.root / "cache"

    @property
    def tpm(self) -> Path:
        return self.root / "tpm"

    def host_dir(self, host: Host) -> Path:
        """The disk of a compute host: what it keeps through a power cut."""
        return self.root / "hosts" / host.name

    def host_log(self, host: Host) -> Path:
        return self.log / host.name

    def credentials_file(self) -> Path:
        return self.root / "credentials.json"
