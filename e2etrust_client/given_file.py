# SPDX-License-Identifier: Apache-2.0
"""Files that a command is given."""

from __future__ import annotations

from pathlib import Path

from e2etrust_client.errors import FileError


def read(path: Path, most: int) -> bytes:
    """Return the bytes of *path*, which may be a pipe.

    :raises FileError: it cannot be read, or has more than *most* bytes.
    """
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as exc:
        raise FileError(f"{path} cannot be read: {exc.strerror}") from None
    if len(data) > most:
        raise FileError(f"{path} is larger than {most} bytes")
    return data
