# SPDX-License-Identifier: Apache-2.0
"""osc-lib's view of us: how the ``openstack`` command makes our client."""

from __future__ import annotations

import argparse
from typing import Any

from osc_lib import exceptions, utils

from e2etrust_client.api import AttestationClient

API_NAME = "attestation"
API_VERSION_OPTION = "os_attestation_api_version"
API_VERSIONS = {"1": "e2etrust_client.api.AttestationClient"}
DEFAULT_API_VERSION = "1"


def check_api_version(version: str) -> bool:
    """Refuse a version that is none of ours: osc-lib would know no command of ours in it."""
    if version not in API_VERSIONS:
        raise exceptions.CommandError(
            f"attestation API version {version} is none that this client speaks."
            f" Next: set --os-attestation-api-version to {DEFAULT_API_VERSION}"
        )
    return True


def make_client(instance: Any) -> AttestationClient:
    """Return a client on the session of osc-lib's ClientManager *instance*."""
    return AttestationClient(
        instance.session, region_name=instance.region_name, interface=instance.interface
    )


def client_of(client_manager: Any) -> AttestationClient:
    """Return our client, which osc-lib hangs on its manager under API_NAME."""
    return client_manager.attestation


def build_option_parser(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add our global options."""
    parser.add_argument(
        "--os-attestation-api-version",
        metavar="<attestation-api-version>",
        default=utils.env("OS_ATTESTATION_API_VERSION", default=DEFAULT_API_VERSION),
        help="Attestation API version, default=1 (Env: OS_ATTESTATION_API_VERSION)",
    )
    return parser
