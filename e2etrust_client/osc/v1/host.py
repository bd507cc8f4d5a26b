# SPDX-License-Identifier: Apache-2.0
"""``openstack attestation host list|show``."""

from __future__ import annotations

import argparse
from typing import Any

from osc_lib.command import command

from e2etrust_client.model import HostState
from e2etrust_client.osc.plugin import client_of
from e2etrust_client.osc.v1 import refusals


class ListHost(command.Lister):
    """List hosts and whether they are trusted now"""

    @refusals.told
    def take_action(self, parsed_args: argparse.Namespace) -> Any:  # noqa: ARG002
        hosts = client_of(self.app.client_manager).hosts()
        columns = ("Host", "State", "Lease seconds", "Since", "Failed checks")
        return columns, [_row(h) for h in hosts]


class ShowHost(command.ShowOne):
    """Show one host: whether it is trusted, and why not"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("host", metavar="<host>", help="Name of the compute host")
        return parser

    @refusals.told
    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        host = client_of(self.app.client_manager).host(parsed_args.host)
        columns = ("why", "host", "state", "lease_seconds", "since", "last_attested", "checks")
        return columns, (
            why(host),
            host.name,
            host.state,
            round(host.lease_seconds, 1),
            host.since,
            host.last_attested,
            [f"{c.check}: {c.outcome}: {c.reason}" for c in host.checks],
        )


def why(host: HostState) -> str:
    """Say in one line why a host is in the state it is in."""
    failed = [c for c in host.checks if c.outcome != "pass"]
    if failed:
        first = failed[0]
        return f"{first.code}: {first.reason}. Next: {first.remedy}"
    if host.state == "trusted":
        return f"all {len(host.checks)} checks passed"
    if host.state == "held":
        return "failed before and waits for an operator: e2etrust-manage host approve"
    return "no valid evidence: the lease ran out; look at the host's agent and the message bus"


def _row(host: HostState) -> tuple[Any, ...]:
    failed = ", ".join(c.check for c in host.checks if c.outcome != "pass")
    return host.name, host.state, round(host.lease_seconds, 1), host.since, failed
