# SPDX-License-Identifier: Apache-2.0
"""``openstack attestation host evidence list|save``: what the verifier recorded, for audit."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any, ClassVar

from osc_lib.command import command

from e2etrust_client.appraise.recorded_folder import files_of
from e2etrust_client.errors import FileError
from e2etrust_client.osc.plugin import client_of
from e2etrust_client.osc.v1 import refusals
from e2etrust_client.osc.v1.fields import TellsFields
from e2etrust_client.osc.v1.one_host import OneHost
from e2etrust_core.launch import attest_binding


class ListEvidence(TellsFields, OneHost, command.Lister):
    """List what is recorded of a host's evidence, newest first"""

    FIELDS: ClassVar = {
        "Number": "for --evidence of policy learn and policy test",
        "At": "when it was appraised (ISO 8601)",
        "Policy": "by which policy",
        "Trusted": "whether all checks passed",
    }

    @refusals.told
    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        found = client_of(self.app.client_manager).host_evidence_list(parsed_args.host)
        return tuple(self.FIELDS), [(one.id, one.at, one.policy, one.trusted) for one in found]


class SaveEvidence(TellsFields, OneHost, command.ShowOne):
    """Write recorded evidence of a host to a folder that e2etrust-appraise reads"""

    FIELDS: ClassVar = {
        "host": "name of the compute host",
        "at": "when it was appraised (ISO 8601)",
        "policy": "by which policy",
        "trusted": "whether all checks passed",
        "files": "what was written",
        "next": "the command that appraises it again, without the verifier",
    }

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "directory",
            metavar="<directory>",
            type=Path,
            help="Where to write it; nothing there is overwritten. A part of an IMA list, where the"
            " verifier had read its beginning before, is left out",
        )
        add_number(parser)
        return parser

    @refusals.told
    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        client = client_of(self.app.client_manager)
        found = client.host_evidence(parsed_args.host, parsed_args.evidence)
        files = files_of(found)
        write_new(parsed_args.directory, files)
        carried = attest_binding(found.nonce, found.evidence.domains).hex()
        words = [str(parsed_args.directory), "--at", found.at, "--nonce", carried]
        again = shlex.join(["e2etrust-appraise", *words])
        values = found.host, found.at, found.policy, found.trusted, sorted(files), again
        return tuple(self.FIELDS), values


def write_new(directory: Path, files: dict[str, bytes]) -> None:
    there = sorted(name for name in files if (directory / name).exists())
    if there:
        raise FileError(
            f"{directory / there[0]} is there already", remedy="choose another name or directory"
        )
    for name, contents in files.items():
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with (directory / name).open("xb") as file:
                file.write(contents)
        except OSError as exc:
            raise FileError(f"{directory / name} cannot be written: {exc.strerror}") from None


def add_number(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--evidence",
        metavar="<number>",
        type=int,
        help="Which recorded evidence (attestation host evidence list), the newest if not said",
    )
