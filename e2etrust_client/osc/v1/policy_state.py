# SPDX-License-Identifier: Apache-2.0
"""``openstack attestation policy list|show``: the verifier's policies, and whether they count."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from typing import Any

from osc_lib.command import command

from e2etrust_client.model import PolicyState
from e2etrust_client.osc.plugin import client_of
from e2etrust_client.osc.v1 import refusals


class ListPolicy(command.Lister):
    """List host policies, whether they count, and for how many hosts

    In the order in which they are looked at: the first that matches a host's name is that host's.
    """

    @refusals.told
    def take_action(self, _parsed_args: argparse.Namespace) -> Any:
        found = client_of(self.app.client_manager).policies()
        if found.hosts_without:
            told = f"{found.hosts_without} enrolled hosts match no policy and are not trusted"
            print(told, file=sys.stderr)
        if found.policy_sets > 1:
            told = f"the {found.workers} verifier workers have {found.policy_sets} different"
            print(f"{told} policy directories: copy one to all of them", file=sys.stderr)
        columns = (
            "Name",
            "File",
            "State",
            "Version",
            "Hosts",
            "Workers",
            "Windows close",
            "Fingerprint",
        )
        return columns, [
            (
                one.name,
                one.file,
                one.state,
                one.version,
                one.hosts_count,
                f"{one.workers} of {found.workers}",
                one.windows_close,
                one.fingerprint,
            )
            for one in found.policies
        ]


class ShowPolicy(command.ShowOne):
    """Show one host policy, without the values that it accepts"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("policy", metavar="<policy>", help="Name of the policy")
        return parser

    @refusals.told
    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        found = client_of(self.app.client_manager).policy(parsed_args.policy)
        names = [one.name for one in fields(PolicyState)]
        return ("why", *names), (_why(found), *[getattr(found, name) for name in names])


def _why(policy: PolicyState) -> str:
    """Say in one line whether the policy counts."""
    if policy.code:
        return f"{policy.code}: {policy.reason}. Next: {policy.remedy}"
    if policy.state == "new":
        return "not applied yet: no host that it is for has asked since it is there"
    return f"in force for {policy.hosts_count} hosts"
