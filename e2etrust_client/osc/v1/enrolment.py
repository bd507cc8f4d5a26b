# SPDX-License-Identifier: Apache-2.0
"""``openstack attestation enrolment list|show``: which TPM hosts were enrolled with."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import Any

from osc_lib.command import command

from e2etrust_client.model import Enrolment
from e2etrust_client.osc.plugin import client_of
from e2etrust_client.osc.v1 import refusals


class ListEnrolment(command.Lister):
    """List which keys hosts were enrolled with, and who vouched for their TPMs"""

    @refusals.told
    def take_action(self, _parsed_args: argparse.Namespace) -> Any:
        found = client_of(self.app.client_manager).enrolments()
        columns = ("Host", "Suite", "EK accepted by", "Manufacturer", "Enrolled at", "EK SHA-256")
        return columns, [
            (
                one.host,
                one.suite,
                one.ek_accepted_by,
                one.manufacturer,
                one.enrolled_at,
                one.ek_sha256,
            )
            for one in found
        ]


class ShowEnrolment(command.ShowOne):
    """Show which keys a host was enrolled with, and who vouched for its TPM"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("host", metavar="<host>", help="Name of the compute host")
        return parser

    @refusals.told
    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        found = client_of(self.app.client_manager).enrolment(parsed_args.host)
        names = [one.name for one in fields(Enrolment)]
        return names, [getattr(found, name) for name in names]
