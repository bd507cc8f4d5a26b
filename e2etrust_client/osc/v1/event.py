# SPDX-License-Identifier: Apache-2.0
"""``openstack attestation event list``."""

from __future__ import annotations

import argparse
from typing import Any, ClassVar

from osc_lib.command import command

from e2etrust_client.osc.plugin import client_of
from e2etrust_client.osc.v1 import refusals
from e2etrust_client.osc.v1.fields import TellsFields


class ListEvent(TellsFields, command.Lister):
    """List what happened to hosts and servers, newest first"""

    FIELDS: ClassVar = {
        "At": "when (ISO 8601)",
        "Kind": "such as host-failed; the guide on notifications has them all",
        "Host": "compute host, empty where it is of none",
        "Server": "id of the server, empty where it is of none",
        "Message": "what happened, in words",
    }

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("--host", metavar="<host>", help="Only events of this host")
        parser.add_argument(
            "--kind", metavar="<kind>", help="Only events of this kind, such as host-failed"
        )
        parser.add_argument(
            "--limit",
            metavar="<n>",
            type=int,
            default=50,
            help="At most so many events (default: 50)",
        )
        return parser

    @refusals.told
    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        events = client_of(self.app.client_manager).events(
            parsed_args.limit, parsed_args.host, parsed_args.kind
        )
        return tuple(self.FIELDS), [(e.at, e.kind, e.host, e.instance, e.message) for e in events]
