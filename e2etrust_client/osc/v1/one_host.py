# SPDX-License-Identifier: Apache-2.0
"""Commands about one host."""

from __future__ import annotations

import argparse

from osc_lib.command import command


class OneHost(command.Command):
    """A command whose first argument is the host."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("host", metavar="<host>", help="Name of the compute host")
        return parser
