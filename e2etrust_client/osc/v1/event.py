# SPDX-License-Identifier: Apache-2.0
"""``openstack attestation event list``."""

from __future__ import annotations

import argparse
from typing import Any

from osc_lib.command import command

from e2etrust_client.osc.plugin import client_of
from e2etrust_client.osc.v1 import refusals


class ListEvent(command.Lister):
    """List what happened to hosts and servers, newest first"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("--host", metavar="<host>", help="Only events of this host")
        parser.add_argument("--kind", metavar="<kind>", help="Only events of this kind")
        parser.add_argument("--limit", metavar="<n>", type=int, default=50, help="At most so many")
        return parser

    @refusals.told
    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        events = client_of(self.app.client_manager).events(
            parsed_args.limit, parsed_args.host, parsed_args.kind
        )
        columns = ("At", "Kind", "Host", "Server", "Message")
        return columns, [(e.at, e.kind, e.host, e.instance, e.message) for e in events]
