# SPDX-License-Identifier: Apache-2.0
"""Flavors that demo and tests use."""

from __future__ import annotations

import json

from e2ecloud import accounts, lifecycle, process
from e2ecloud.layout import Cloud

_SCRIPT = """
import json, sys, openstack
cloud = openstack.connect()
known = {flavor.name: flavor for flavor in cloud.compute.flavors()}
for name, specs in json.load(sys.stdin).items():
    flavor = known.get(name) or cloud.compute.create_flavor(name=name, ram=256, vcpus=1, disk=2)
    if specs:
        cloud.compute.create_flavor_extra_specs(flavor, specs)
"""
VTPM = {
    "hw:tpm_version": "2.0",
    "hw:tpm_model": "tpm-crb",
    "hw:tpm_secret_security": "host",
}
FLAVORS: dict[str, dict[str, str]] = {
    "plain": {},
    "trusted": {"trust:trusted_host": "trusted", **VTPM},
}


def seed(cloud: Cloud) -> None:
    """Make the flavors ``plain`` and ``trusted``: 256 MiB, 1 vCPU, 2 GiB disk. Idempotent."""
    site = lifecycle.site_of(cloud)
    process.run(
        lifecycle.space_of(cloud),
        [f"{cloud.bin}/python", "-P", "-c", _SCRIPT],
        environment=accounts.variables(site, "admin"),
        stdin=json.dumps(FLAVORS),
    )
