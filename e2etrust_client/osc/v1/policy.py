# SPDX-License-Identifier: Apache-2.0
"""``openstack attestation policy learn|test|import keylime``.

They work here, on evidence that the verifier recorded or on files: nothing is activated by them.
"""

from __future__ import annotations

import argparse
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import yaml
from osc_lib.command import command

from e2etrust_client import given_file
from e2etrust_client.api import AttestationClient
from e2etrust_client.errors import FileError
from e2etrust_client.osc.plugin import client_of
from e2etrust_client.osc.v1 import refusals
from e2etrust_client.osc.v1.evidence import add_number, write_new
from e2etrust_client.osc.v1.fields import TellsFields
from e2etrust_core.appraisal.keylime_policy import MAX_POLICY, read_keylime_policy
from e2etrust_core.appraisal.model import HostPolicy
from e2etrust_core.appraisal.policy import parse_policy
from e2etrust_core.appraisal.policy_cautions import cautions
from e2etrust_core.appraisal.policy_ima import FILE_NAME, FilesBeside
from e2etrust_core.appraisal.policy_proposal import Proposal, propose_policy
from e2etrust_core.appraisal.policy_trial import Trial, told_of_fleet, told_of_host, try_policy
from e2etrust_core.appraisal.policy_windows import parse_moment
from e2etrust_core.appraisal.recorded import RecordedAppraisal, appraise_again
from e2etrust_core.errors import PolicyError


class LearnPolicy(command.Command):
    """Write a policy that accepts a host as it is recorded

    The policy goes to standard output, or with its allowlist to a directory, and what it would
    accept to standard error, in plain words. It is not activated: read it, and put it into the
    verifier's policy_dir if the host is one to compare others with.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("host", metavar="<host>", help="A host that is known to be good")
        add_number(parser)
        parser.add_argument(
            "--name",
            metavar="<name>",
            default="learnt",
            help="Name of the policy (default: learnt)",
        )
        parser.add_argument(
            "--for",
            dest="hosts",
            metavar="<pattern>",
            action="append",
            help="Hosts it is for, * and ? as in a shell (repeat for several; default: <host>)",
        )
        parser.add_argument(
            "--directory",
            metavar="<directory>",
            type=Path,
            help="Where to write the policy, and an allowlist of the files that IMA measured;"
            " nothing there is overwritten",
        )
        return parser

    @refusals.told
    def take_action(self, parsed_args: argparse.Namespace) -> None:
        client = client_of(self.app.client_manager)
        recorded = client.host_evidence(parsed_args.host, parsed_args.evidence)
        hosts = parsed_args.hosts or [parsed_args.host]
        directory = parsed_args.directory
        proposal = propose_policy(
            recorded, parsed_args.name, hosts, with_files=directory is not None
        )
        policy = proposal.policy()
        again = appraise_again(recorded, policy)
        if directory is None:
            self.app.stdout.write(proposal.text)
        else:
            files = {f"{parsed_args.name}.yaml": proposal.text.encode(), **proposal.files}
            write_new(directory, files)
        for line in told(proposal, recorded.at):
            print(line, file=sys.stderr)
        _tell(cautions(policy))
        others = [c for c in again.verdict.failed if c.check != "running-domains"]
        for check in others:
            print(f"even so it fails: {check.code}: {check.reason}", file=sys.stderr)


class TestPolicy(TellsFields, command.Lister):
    """Appraise recorded evidence by a policy file, and say what changes

    With a host: every check of it. Exit status 0: it would be trusted; 1: it would not. Without:
    all hosts that the policy is for. Exit status 1: one that was trusted would not be any more, or
    nothing is recorded that tells. What changes is told on standard error.
    """

    FIELDS: ClassVar = {
        "Check": "with a host: name of the check",
        "Outcome": "with a host: pass or fail",
        "Host": "without: name of the compute host",
        "By": "without: by which policy it was appraised when its evidence was recorded",
        "Before": "without: whether it was trusted by that",
        "After": "without: whether it would be trusted by the file",
        "Code": "why not, as in the table of refusals",
        "Where": "with a host: which part of the evidence",
        "Reason": "why not, in words",
    }
    __test__ = False  # no test of pytest's
    _good = False

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("file", metavar="<file>", type=Path, help="The policy, YAML")
        parser.add_argument(
            "host",
            metavar="<host>",
            nargs="?",
            help="Name of the compute host; all that the policy is for if not said",
        )
        parser.add_argument(
            "--against",
            metavar="<file>",
            type=Path,
            help="The policy to compare with; if not said, what came out when the evidence was"
            " recorded, by the policy that was in force then",
        )
        parser.add_argument(
            "--at",
            metavar="<moment>",
            type=_moment,
            help="As the policy stands then, such as 2026-12-31T00:00:00Z; now if not said",
        )
        add_number(parser)
        return parser

    @refusals.told
    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        client = client_of(self.app.client_manager)
        at = parsed_args.at or datetime.now(UTC)
        policy = _policy(parsed_args.file, at)
        against = None if parsed_args.against is None else _policy(parsed_args.against, at)
        if parsed_args.host is None:
            return self._try_fleet(client, policy, against)
        recorded = _evidence(client, parsed_args.host, policy, parsed_args.evidence)
        trial = try_policy(recorded, policy, against)
        self._good = trial.trusted
        _tell(told_of_host(trial))
        columns = ("Check", "Outcome", "Code", "Where", "Reason")
        return columns, [(c.check, c.outcome, c.code, c.where, c.reason) for c in trial.checks]

    def _try_fleet(
        self, client: AttestationClient, policy: HostPolicy, against: HostPolicy | None
    ) -> Any:
        trials, unknown = [], []
        for name in (host.name for host in client.hosts()):
            if not policy.speaks_of(name):
                continue
            recorded = _newest_for(client, name, policy)
            if recorded is None:
                unknown.append(name)
            else:
                trials.append(try_policy(recorded, policy, against))
        kept = all(one.trusted for one in trials if one.was_trusted)
        self._good = bool(trials) and not unknown and kept
        _tell(told_of_fleet(trials, unknown))
        columns = ("Host", "By", "Before", "After", "Code", "Reason")
        return columns, [_row(one) for one in trials]

    def run(self, parsed_args: argparse.Namespace) -> int:
        super().run(parsed_args)
        return 0 if self._good else 1


class ImportKeylimePolicy(command.Command):
    """Take over a runtime policy of Keylime's

    The allowlist, and keys if there are any, are written to a directory; the ima section that
    names them goes to standard output, and to standard error what it accepts and what was left out.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("file", metavar="<file>", type=Path, help="The runtime policy, JSON")
        parser.add_argument(
            "--name",
            metavar="<name>",
            default="keylime",
            help="What the files are called after (default: keylime)",
        )
        parser.add_argument(
            "--directory",
            metavar="<directory>",
            type=Path,
            required=True,
            help="Where to write the files; nothing there is overwritten",
        )
        return parser

    @refusals.told
    def take_action(self, parsed_args: argparse.Namespace) -> None:
        if not re.fullmatch(FILE_NAME, parsed_args.name):
            raise FileError(
                f"--name {parsed_args.name} is no file name", remedy="letters, digits, dots, dashes"
            )
        found = read_keylime_policy(given_file.read(parsed_args.file, MAX_POLICY), parsed_args.name)
        write_new(parsed_args.directory, found.files)
        self.app.stdout.write(yaml.safe_dump(found.sections, sort_keys=False, allow_unicode=True))
        _tell(found.words)


def _row(trial: Trial) -> tuple[str, str, bool, bool, str, str]:
    first = next((c for c in trial.checks if c.outcome != "pass"), None)
    code, reason = ("", "") if first is None else (first.code, first.reason)
    return trial.host, trial.by, trial.was_trusted, trial.trusted, code, reason


def _evidence(
    client: AttestationClient, host: str, policy: HostPolicy, number: int | None
) -> RecordedAppraisal:
    """Return what to try the policy on: the newest that it can judge, if none is named."""
    found = None if number is not None else _newest_for(client, host, policy)
    return client.host_evidence(host, number) if found is None else found


def _newest_for(
    client: AttestationClient, host: str, policy: HostPolicy
) -> RecordedAppraisal | None:
    for one in client.host_evidence_list(host):
        recorded = client.host_evidence(host, one.id)
        if recorded.holds_all_for(policy):
            return recorded
    return None


def _tell(lines: list[str]) -> None:
    for line in lines:
        print(f"# {line}", file=sys.stderr)


def _policy(path: Path, at: datetime) -> HostPolicy:
    try:
        return parse_policy(_read(path), FilesBeside(path.parent), at)
    except PolicyError as exc:
        raise PolicyError(f"{path}: {exc.reason}", code=exc.code, remedy=exc.remedy) from None


def told(proposal: Proposal, at: str) -> list[str]:
    """Say what the proposal accepts, in a few lines."""
    lines = [f"# as recorded at {at}; not activated"]
    if proposal.event_pcrs:
        pcrs = ", ".join(map(str, proposal.event_pcrs))
        lines.append(f"# {proposal.events} events of PCR {pcrs}, each as often as it was there")
    if proposal.value_pcrs:
        lines.append(f"# PCR {', '.join(map(str, proposal.value_pcrs))} by their values only")
    if proposal.left_out:
        lines.append(f"# nothing of PCR {', '.join(map(str, proposal.left_out))}: they change")
    return [*lines, *(f"# {one}" for one in proposal.words)]


def _moment(text: str) -> datetime:
    try:
        return parse_moment(text)
    except PolicyError as exc:
        raise argparse.ArgumentTypeError(exc.reason) from None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as exc:
        raise FileError(f"{path} cannot be read: {exc.strerror}") from None
    except UnicodeDecodeError:
        raise FileError(f"{path} cannot be read: it is not text in UTF-8") from None
