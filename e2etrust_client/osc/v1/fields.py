# SPDX-License-Identifier: Apache-2.0
"""What the fields of an answer say: named once, for the answer, its help and the documentation."""

from __future__ import annotations

import argparse
from typing import ClassVar

from osc_lib.command import command


class TellsFields(command.Command):
    """A command whose help says what each field of its answer is."""

    #: Field -> what it says, with its unit, in the order in which they are shown.
    FIELDS: ClassVar[dict[str, str]]

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        # The default one would run the list together.
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        told = "\n".join(f"{name}\n  {text}" for name, text in self.FIELDS.items())
        parser.epilog = f"Fields:\n\n{told}\n\n{parser.epilog}"
        return parser
