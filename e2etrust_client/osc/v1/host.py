# SPDX-License-Identifier: Apache-2.0
"""``openstack attestation host list|show|history|approve|revoke|delete``."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import Any, ClassVar

from osc_lib.command import command

from e2etrust_client.model import HostState
from e2etrust_client.osc.plugin import client_of
from e2etrust_client.osc.v1 import refusals
from e2etrust_client.osc.v1.fields import TellsFields
from e2etrust_client.osc.v1.one_host import OneHost
from e2etrust_client.result_token import read_result

_STATE = "trusted, untrusted (a check failed), held (waits for an operator), unknown"
_LEVEL = "trust level of its lease, 1 to 9; 0 without a lease"
_SHOWN = {
    "why": "why it is in that state, and what to do next",
    "host": "name of the compute host",
    "state": _STATE,
    "level": _LEVEL,
    "lease_seconds": "seconds until its lease runs out, 0 without one",
    "since": "since when it is in that state (ISO 8601)",
    "last_attested": "when evidence of it was appraised last (ISO 8601), null: never",
    "policy": "by which policy it was appraised last",
    "policy_version": "version of that policy, null where it has none",
    "checks": "each check of the last appraisal: its outcome, why, and since when it fails",
}
_STATES = ("trusted", "untrusted", "held", "unknown")


class ListHost(TellsFields, command.Lister):
    """List hosts and whether they are trusted now"""

    FIELDS: ClassVar = {
        "Host": "name of the compute host",
        "State": _STATE,
        "Level": _LEVEL,
        "Lease seconds": "seconds until its lease runs out, 0 without one",
        "Since": "since when it is in that state (ISO 8601)",
        "Last attested": "when evidence of it was appraised last (ISO 8601), empty: never",
        "Policy": "by which it was appraised last",
        "Failed checks": "names of the checks that failed last",
    }

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--state",
            choices=_STATES,
            action="append",
            help="Only hosts in this state (repeat for several)",
        )
        parser.add_argument(
            "--name",
            metavar="<part>",
            help="Only hosts with this in their name; with * or ?, as in a shell, the whole name",
        )
        parser.add_argument(
            "--min-level",
            metavar="<level>",
            type=int,
            help="Only hosts with a lease of that trust level (1 to 9) or a higher one",
        )
        parser.add_argument(
            "--trait",
            metavar="<trait>",
            help="Only hosts that carry this trait in Placement: CUSTOM_E2ETRUST_TRUSTED or"
            " CUSTOM_E2ETRUST_LEVEL_N",
        )
        parser.add_argument(
            "--policy", metavar="<policy>", help="Only hosts that were appraised last by this one"
        )
        parser.add_argument(
            "--code",
            metavar="<code>",
            help="Only hosts that failed with this code first, such as PCR_MISMATCH",
        )
        parser.add_argument(
            "--limit", metavar="<n>", type=int, help="At most so many hosts (default: all)"
        )
        parser.add_argument(
            "--marker", metavar="<host>", help="Only hosts behind this name, in the order of names"
        )
        return parser

    @refusals.told
    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        hosts = client_of(self.app.client_manager).hosts(
            ",".join(parsed_args.state) if parsed_args.state else None,
            parsed_args.limit,
            parsed_args.marker,
            name=parsed_args.name,
            min_level=parsed_args.min_level,
            trait=parsed_args.trait,
            policy=parsed_args.policy,
            code=parsed_args.code,
        )
        return tuple(self.FIELDS), [_row(h) for h in hosts]


class ShowHost(TellsFields, OneHost, command.ShowOne):
    """Show one host: whether it is trusted, and why not"""

    FIELDS: ClassVar = _SHOWN

    @refusals.told
    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        return _shown(client_of(self.app.client_manager).host(parsed_args.host))


class ApproveHost(TellsFields, OneHost, command.ShowOne):
    """Let a held host be trusted again by its next good evidence"""

    FIELDS: ClassVar = _SHOWN

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--ek-sha256",
            metavar="<hex>",
            help="Only where this endorsement key has the name: of a new host it may be another's",
        )
        return parser

    @refusals.told
    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        client = client_of(self.app.client_manager)
        return _shown(client.approve_host(parsed_args.host, parsed_args.ek_sha256))


class RevokeHost(TellsFields, OneHost, command.ShowOne):
    """End a host's lease now, and hold it until somebody approves it"""

    FIELDS: ClassVar = _SHOWN

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--reason",
            metavar="<text>",
            default="",
            help="Why, for whoever asks later: it stands in the event and in host show",
        )
        return parser

    @refusals.told
    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        client = client_of(self.app.client_manager)
        return _shown(client.revoke_host(parsed_args.host, parsed_args.reason))


class DeleteHost(OneHost):
    """Forget a host's keys; its agent enrols it anew"""

    @refusals.told
    def take_action(self, parsed_args: argparse.Namespace) -> None:
        client_of(self.app.client_manager).remove_host(parsed_args.host)


class HostResult(TellsFields, OneHost, command.ShowOne):
    """Show a host's attestation result (EAR), its signature checked"""

    FIELDS: ClassVar = {
        "host": "name of the compute host",
        "status": "ear_status: affirming (it holds a lease), contraindicated, none",
        "vector": "claims of the trustworthiness vector, and their values (AR4SI)",
        "policies": "by which policies it was appraised",
        "issuer": "which verifier says so",
        "issued_at": "when (ISO 8601)",
        "expires_at": "until when it may be relied on (ISO 8601)",
        "token": "the signed token itself, with --token only",
    }

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("--token", action="store_true", help="Show the signed token itself too")
        return parser

    @refusals.told
    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        client = client_of(self.app.client_manager)
        token = client.host_result(parsed_args.host)
        found = read_result(token, client.jwks(), parsed_args.host, datetime.now(UTC))
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
            values.append(token)
        return tuple(self.FIELDS)[: len(values)], values


class HostHistory(TellsFields, OneHost, command.Lister):
    """List what came out of a host's appraisals, newest first"""

    FIELDS: ClassVar = {
        "At": "when (ISO 8601)",
        "Purpose": "attest (for a lease) or launch (for the start of a server)",
        "Policy": "by which policy, with its version",
        "Trusted": "whether all checks passed",
        "Why not": "each check that failed: its code, where, and why",
    }

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--limit",
            metavar="<n>",
            type=int,
            default=20,
            help="At most so many appraisals (default: 20)",
        )
        return parser

    @refusals.told
    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        client = client_of(self.app.client_manager)
        found = client.host_history(parsed_args.host, parsed_args.limit)
        rows = []
        for verdict in found:
            failed = [c for c in verdict.checks if c.outcome != "pass"]
            told = "; ".join(_failure(c.code, c.where, c.reason) for c in failed)
            policy = named(verdict.policy, verdict.policy_version)
            rows.append((verdict.at, verdict.purpose, policy, verdict.trusted, told))
        return tuple(self.FIELDS), rows


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
    return tuple(_SHOWN), (
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
    since = host.since, host.last_attested
    return host.name, host.state, host.level, left, *since, host.policy, failed
