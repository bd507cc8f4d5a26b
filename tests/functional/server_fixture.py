# SPDX-License-Identifier: Apache-2.0
"""A server of the tests' own: private ports, a directory that is gone at the end."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar


class Server(Protocol):
    def start(self) -> None: ...

    def end(self) -> None:
        """Take it away for good, with all it has; at once."""


S = TypeVar("S", bound=Server)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serving(make: Callable[[Path], S]) -> Iterator[S]:
    """Run the server that *make* makes for a directory."""
    with tempfile.TemporaryDirectory(prefix="srv") as directory:
        server = make(Path(directory))
        try:
            server.start()
            yield server
        finally:
            server.end()
