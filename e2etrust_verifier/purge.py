# SPDX-License-Identifier: Apache-2.0
"""History older than a moment is deleted, in transactions so short that the service does not wait.

An archive is written, and on the disk, before what is in it is deleted: whoever is interrupted
between the two finds rows in both places, and none in neither.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from e2etrust_core.durable import sync_directory
from e2etrust_core.errors import E2ETrustError
from e2etrust_verifier.db import aged
from e2etrust_verifier.db.aged import Kind
from e2etrust_verifier.db.database import Database

#: Rows of one transaction; fewer where they are read as well, since evidence is large.
BATCH, ARCHIVED = 1000, 50


class ArchiveError(E2ETrustError):
    """The archive cannot be written; what is not in it was not deleted."""

    code = "ARCHIVE_UNUSABLE"
    remedy = "name a file in a directory that has room and that you can write"


@dataclass(frozen=True, slots=True)
class Purged:
    """Rows by table; ``more``: there are others, which the limit left."""

    rows: dict[str, int]
    more: bool = False


def count(database: Database, moment: datetime) -> dict[str, int]:
    """Return how many rows of each table :func:`purge` would delete."""
    return database.read(lambda s: {one.name: aged.count(s, one, moment) for one in aged.KINDS})


def purge(
    database: Database,
    moment: datetime,
    most: int | None = None,
    archive: Path | None = None,
    progress: Callable[[str, int], None] = lambda _table, _rows: None,
) -> Purged:
    """Delete history from before *moment*, at most so many rows.

    :param archive: a file that rows are written to first, one JSON document a line.
    :param progress: told the table and how many of its rows are gone, after each transaction.
    :raises ArchiveError: nothing is deleted that is not in the archive.
    """
    rows = {kind.name: 0 for kind in aged.KINDS}
    for kind in aged.KINDS:
        for found in _pieces(database, kind, moment, BATCH if archive is None else ARCHIVED):
            keys = found if most is None else found[: most - sum(rows.values())]
            rows[kind.name] += _move(database, kind, keys, archive)
            progress(kind.name, rows[kind.name])
            if len(keys) < len(found):
                return Purged(rows, more=True)
    return Purged(rows)


def _pieces(database: Database, kind: Kind, moment: datetime, size: int) -> Iterator[list[Any]]:
    """Tell the keys of old rows in their order, so that none is looked at twice."""
    after: Any = None
    while found := database.read(
        partial(aged.keys, kind=kind, moment=moment, after=after, limit=size)
    ):
        yield found
        after = found[-1]


def _move(database: Database, kind: Kind, keys: list[Any], archive: Path | None) -> int:
    if not keys:
        return 0
    if archive is not None:
        found = database.read(lambda s: aged.rows(s, kind, keys))
        _append(archive, [{"table": kind.name, **row} for row in found])
    return database.write(lambda s: aged.delete(s, kind, keys))


def _append(archive: Path, rows: list[dict[str, Any]]) -> None:
    lines = "".join(json.dumps(row, default=_told) + "\n" for row in rows)
    try:
        handle = os.open(archive, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "a") as file:
            size = os.fstat(handle).st_size
            if size and os.pread(handle, 1, size - 1) != b"\n":
                file.write("\n")  # a run before was cut off within a line
            file.write(lines)
            file.flush()
            os.fsync(handle)
        sync_directory(archive.parent)
    except OSError as exc:
        raise ArchiveError(f"{archive} cannot be written: {exc.strerror}") from None


def _told(value: datetime | bytes) -> str:
    return value.isoformat() if isinstance(value, datetime) else base64.b64encode(value).decode()
