# SPDX-License-Identifier: Apache-2.0
"""``openstack attestation host enrol`` and ``host inventory list|delete``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, ClassVar

from osc_lib import exceptions
from osc_lib.command import command

from e2etrust_client.ek_file import read_ek_file
from e2etrust_client.model import ExpectedHost
from e2etrust_client.osc.plugin import client_of
from e2etrust_client.osc.v1 import refusals
from e2etrust_client.osc.v1.fields import TellsFields
from e2etrust_client.osc.v1.one_host import OneHost

_ENROLLED = "whether a host is enrolled under that name"
_KEYS = "of the TPMT_PUBLIC of each endorsement key that may enrol, hex"
_BY = "user id of the operator who said so"


class EnrolHost(TellsFields, OneHost, command.ShowOne):
    """Let TPMs with these endorsement keys, and no others, enrol as a host

    Nobody has to vouch for such a TPM any more. On the host, `e2etrust-agent --show-identity`
    tells its key; carry it, or the key's certificate, here by a way that you trust.
    """

    FIELDS: ClassVar = {
        "host": "name of the compute host",
        "ek_sha256": _KEYS,
        "enrolled": _ENROLLED,
        "since": "since when these keys are expected (ISO 8601)",
        "by": _BY,
        "certificates": "what was read in each file of --ek-certificate",
    }

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--ek-sha256",
            metavar="<hex>",
            action="append",
            default=[],
            help="SHA-256 of the TPMT_PUBLIC of the host's endorsement key (repeat for several)",
        )
        parser.add_argument(
            "--ek-certificate",
            metavar="<file>",
            type=Path,
            action="append",
            default=[],
            help="Certificate (PEM or DER) of the host's endorsement key, in place of its SHA-256;"
            " it is not verified (repeat where the TPM has several keys)",
        )
        parser.add_argument(
            "--replace",
            action="store_true",
            help="Forget the keys of another TPM that is enrolled under this name",
        )
        return parser

    @refusals.told
    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        read = [read_ek_file(path) for path in parsed_args.ek_certificate]
        digests = [*parsed_args.ek_sha256, *(one for file in read for one in file.ek_sha256)]
        if not digests:
            raise exceptions.CommandError("say which key: --ek-sha256 or --ek-certificate")
        client = client_of(self.app.client_manager)
        found = client.expect_host(parsed_args.host, digests, replace=parsed_args.replace)
        return tuple(self.FIELDS), (*_row(found), [file.told for file in read])


class ListInventory(TellsFields, command.Lister):
    """List which endorsement keys are expected of which hosts"""

    FIELDS: ClassVar = {
        "Host": "name of the compute host",
        "EK SHA-256": _KEYS,
        "Enrolled": _ENROLLED,
        "Since": "since when these keys are expected (ISO 8601)",
        "By": _BY,
    }

    @refusals.told
    def take_action(self, _parsed_args: argparse.Namespace) -> Any:
        found = client_of(self.app.client_manager).inventory()
        return tuple(self.FIELDS), [_row(one) for one in found]


class DeleteInventory(OneHost):
    """Expect no particular endorsement key of a host any more

    A host that is enrolled stays so; for its next enrolment a maker has to vouch for its TPM.
    """

    @refusals.told
    def take_action(self, parsed_args: argparse.Namespace) -> None:
        client_of(self.app.client_manager).unexpect_host(parsed_args.host)


def _row(found: ExpectedHost) -> tuple[Any, ...]:
    return found.host, found.ek_sha256, found.enrolled, found.since, found.by
