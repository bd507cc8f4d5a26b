# SPDX-License-Identifier: Apache-2.0
"""``e2etrust-manage db purge``: history is deleted, with or without an archive of it.

Exit status as ``nova-manage db archive_deleted_rows`` has it: 0 nothing older is left, 1 the limit
left some, 2 wrong use, 255 it failed.
"""

from __future__ import annotations

import argparse
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from oslo_config import cfg

from e2etrust_verifier import purge
from e2etrust_verifier.db import migration
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.trust.surroundings import utc_now

MORE, FAILED = 1, 255
_EVERY = 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--older-than", metavar="DAYS", type=_positive, required=True, help="rows older than that"
    )
    parser.add_argument(
        "--max-rows", metavar="N", type=_positive, help="at most so many rows (default: all)"
    )
    parser.add_argument("--dry-run", action="store_true", help="count, and delete nothing")
    parser.add_argument(
        "--archive",
        metavar="FILE",
        type=Path,
        help="append the rows to this file first, one JSON document a line",
    )
    parser.set_defaults(failed=FAILED)


def run(conf: cfg.ConfigOpts, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    database = Database(conf)
    migration.require_current(database)
    moment = utc_now() - timedelta(days=arguments.older_than)
    if arguments.dry_run:
        return _rows(purge.count(database, moment))
    found = purge.purge(database, moment, arguments.max_rows, arguments.archive, _Progress())
    if found.more:
        arguments.status = MORE
    return _rows(found.rows)


def _rows(found: dict[str, int]) -> list[dict[str, Any]]:
    return [{"table": name, "rows": number} for name, number in found.items()]


class _Progress:
    """A line on standard error, every few seconds."""

    def __init__(self) -> None:
        self._told = time.monotonic()

    def __call__(self, table: str, rows: int) -> None:
        if time.monotonic() - self._told > _EVERY:
            print(f"{table}: {rows} rows", file=sys.stderr, flush=True)
            self._told = time.monotonic()


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("1 or more")
    return number
