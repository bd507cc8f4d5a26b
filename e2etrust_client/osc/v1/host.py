# SPDX-License-Identifier: Apache-2.0
"""``openstack attestation host list|show|history|approve|revoke|delete``."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import Any

from osc_lib.command import command

from e2etrust_client.model import HostState
from e2etrust_client.osc.plugin import client_of
from e2etrust_client.osc.v1 import refusals
from e2etrust_client.result_token import read_result

_SHOWN = (
    "why",
    "host",
    "state",
    "level",
    "lease_seconds",
    "since",
    "last_attested",
    "policy",
    "policy_version",
    "checks",
)
_STATES = ("trusted", "untrusted", "held", "unknown")


class ListHost(command.Lister):
    """List hosts and whether they are trusted now"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--state", choices=_STATES, action="append", help="Only hosts that stand so (repeat)"
        )
        parser.add_argument(
            "--name", metavar="<part>", help="Only hosts with this in their name; * and ? as in sh"
        )
        parser.add_argument(
            "--min-level", metavar="<n>", type=int, help="Only hosts with a lease of that level"
        )
        parser.add_argument("--limit", metavar="<n>", type=int, help="At most so many")
        parser.add_argument("--marker", metavar="<host>", help="Only hosts behind this name")
        return parser

    @refusals.told
    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        hosts = client_of(self.app.client_manager).hosts(
            ",".join(parsed_args.state) if parsed_args.state else None,
            parsed_args.limit,
            parsed_args.marker,
            name=parsed_args.name,
            min_level=parsed_args.min_level,
        )
        columns = (
            "Host",
            "State",
            "Level",
            "Lease seconds",
            "Since",
            "Last attested",
            "Failed checks",
        )
        return columns, [_row(h) for h in hosts]


class _OneHost(command.Command):
    """A command about one host."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("host", metavar="<host>", help="Name of the compute host")
        return parser


class ShowHost(_OneHost, command.ShowOne):
    """Show one host: whether it is trusted, and why not"""

    @refusals.told
    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        return _shown(client_of(self.app.client_manager).host(parsed_args.host))


class ApproveHost(_OneHost, command.ShowOne):
    """Let a held host be trusted again by its next good evidence"""

    @refusals.told
    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        return _shown(client_of(self.app.client_manager).approve_host(parsed_args.host))


class RevokeHost(_OneHost, command.ShowOne):
    """End a host's lease now, and hold it until somebody approves it"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("--reason", metavar="<text>", default="", help="For who asks later")
        return parser

    @refusals.told
    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        client = client_of(self.app.client_manager)
        return _shown(client.revoke_host(parsed_args.host, parsed_args.reason))


class DeleteHost(_OneHost):
    """Forget a host's keys; its agent enrols it anew"""

    @refusals.told
    def take_action(self, parsed_args: argparse.Namespace) -> None:
        client_of(self.app.client_manager).remove_host(parsed_args.host)


class HostResult(_OneHost, command.ShowOne):
    """Show a host's attestation result (EAR), its signature checked (result)"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("--token", action="store_true", help="Show the signed token itself too")
        return parser

    @refusals.told
    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        client = client_of(self.app.client_manager)
        token = client.host_result(parsed_args.host)
        found = read_result(token, client.jwks(), parsed_args.host, datetime.now(UTC))
        columns = ["host", "status", "vector", "policies", "issuer", "issued_at", "expires_at"]
        values = [
            found.host,
            found.status,
            found.vector,
            found.policies,
            found.issuer,
            _moment(found.issued_at),
            _moment(found.expires_at),
        ]
        if parsed_args.token:
            columns.append("token")
            values.append(token)
        return columns, values


class HostHistory(_OneHost, command.Lister):
    """List what came out of a host's appraisals, newest first (history)"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("--limit", metavar="<n>", type=int, default=20, help="At most so many")
        return parser

    @refusals.told
    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        client = client_of(self.app.client_manager)
        found = client.host_history(parsed_args.host, parsed_args.limit)
        columns = ("At", "Purpose", "Policy", "Trusted", "Why not")
        rows = []
        for verdict in found:
            failed = [c for c in verdict.checks if c.outcome != "pass"]
            told = "; ".join(_failure(c.code, c.where, c.reason) for c in failed)
            policy = named(verdict.policy, verdict.policy_version)
            rows.append((verdict.at, verdict.purpose, policy, verdict.trusted, told))
        return columns, rows


def named(policy: str, version: int | None) -> str:
    """Return a policy's name with its version, where it has one."""
    return policy if version is None else f"{policy} (version {version})"


def why(host: HostState) -> str:
    """Say in one line why a host is in the state it is in."""
    failed = [c for c in host.checks if c.outcome != "pass"]
    if failed:
        first = failed[0]
        told = _failure(first.code, first.where, first.reason) + _since(host, first.check)
        then = ""
        if host.state == "held" and "host approve" not in first.remedy:
            then = f"; it is held until: openstack attestation host approve {host.name}"
        return f"{told}. Next: {first.remedy}{then}"
    if host.state == "trusted":
        return f"all {len(host.checks)} checks passed"
    if host.state == "held":
        approve = f"openstack attestation host approve {host.name}"
        return f"failed before and waits for an operator: {approve}"
    if host.last_attested is None:
        return "never attested: start e2etrust-agent on it, its log says what keeps it"
    return (
        f"no valid evidence since {host.last_attested}: the lease ran out; look at the host's agent"
        " and the message bus"
    )


def _since(host: HostState, check: str) -> str:
    since = host.failing_since.get(check)
    return f" (since {since})" if since else ""


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _failure(code: str, where: str, reason: str) -> str:
    place = f"{where}: " if where else ""
    return f"{code}: {place}{reason}"


def _shown(host: HostState) -> Any:
    return _SHOWN, (
        why(host),
        host.name,
        host.state,
        host.level,
        round(host.lease_seconds, 1),
        host.since,
        host.last_attested,
        host.policy,
        host.policy_version,
        [f"{c.check}: {c.outcome}: {c.reason}{_since(host, c.check)}" for c in host.checks],
    )


def _row(host: HostState) -> tuple[Any, ...]:
    failed = ", ".join(c.check for c in host.checks if c.outcome != "pass")
    left = round(host.lease_seconds, 1)
    return host.name, host.state, host.level, left, host.since, host.last_attested, failed
