# SPDX-License-Identifier: Apache-2.0
"""``openstack attestation policy list|show``: the verifier's policies, and whether they count."""

from __future__ import annotations

import argparse
import sys
from typing import Any, ClassVar

from osc_lib.command import command

from e2etrust_client.model import PolicyState
from e2etrust_client.osc.plugin import client_of
from e2etrust_client.osc.v1 import refusals
from e2etrust_client.osc.v1.fields import TellsFields

_STATE = (
    "in-force, new (no host asked yet), rolled-back, altered, unreadable, blocked by such a one"
)


class ListPolicy(TellsFields, command.Lister):
    """List host policies, whether they count, and for how many hosts

    In the order in which they are looked at: the first that matches a host's name is that host's.
    """

    FIELDS: ClassVar = {
        "Name": "of the policy; empty where its file cannot be read",
        "File": "name of its file in policy_dir",
        "State": _STATE,
        "Version": "as the file says, empty without one",
        "Hosts": "how many enrolled hosts it is the first to match",
        "Workers": "how many of the live verifier workers have this very policy",
        "Windows close": "when what it accepts changes by itself (ISO 8601)",
        "Fingerprint": "digest of what it asks now",
    }

    @refusals.told
    def take_action(self, _parsed_args: argparse.Namespace) -> Any:
        found = client_of(self.app.client_manager).policies()
        if found.hosts_without:
            told = f"{found.hosts_without} enrolled hosts match no policy and are not trusted"
            print(told, file=sys.stderr)
        if found.policy_sets > 1:
            told = f"the {found.workers} verifier workers have {found.policy_sets} different"
            print(f"{told} policy directories: copy one to all of them", file=sys.stderr)
        return tuple(self.FIELDS), [
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


class ShowPolicy(TellsFields, command.ShowOne):
    """Show one host policy, without the values that it accepts"""

    FIELDS: ClassVar = {
        "why": "whether it counts, and if not, why and what to do",
        "name": "of the policy",
        "file": "name of its file in policy_dir",
        "state": _STATE,
        "hosts_count": "how many enrolled hosts it is the first to match",
        "newest_version": "the highest version of it that was ever applied",
        "windows_close": "when what it accepts changes by itself (ISO 8601)",
        "code": "why it does not count, as in the table of refusals",
        "reason": "the same in words",
        "remedy": "what to do",
        "version": "as the file says, null without one",
        "edition": "digest of the file and of those that it names",
        "fingerprint": "digest of what it asks now",
        "hosts": "patterns of host names",
        "asks": "which sections it has",
        "quoted_pcrs": "which PCRs a host has to quote, by bank",
        "lease_seconds": "how long a lease by it lasts, in seconds",
        "recovery": "whether a host that failed comes back by itself (automatic) or by operator",
        "level": "trust level of its leases, 1 to 9",
        "workers": "how many of the live verifier workers have this very policy",
    }

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("policy", metavar="<policy>", help="Name of the policy")
        return parser

    @refusals.told
    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        found = client_of(self.app.client_manager).policy(parsed_args.policy)
        why, *names = self.FIELDS
        return (why, *names), (_why(found), *(getattr(found, name) for name in names))


def _why(policy: PolicyState) -> str:
    """Say in one line whether the policy counts."""
    if policy.code:
        return f"{policy.code}: {policy.reason}. Next: {policy.remedy}"
    if policy.state == "new":
        return "not applied yet: no host that it is for has asked since it is there"
    return f"in force for {policy.hosts_count} hosts"
