# SPDX-License-Identifier: Apache-2.0
"""A real PostgreSQL of the tests' own: private port and directory, gone at the end.

``postgresql`` is one server a session, ``postgresql.new_database()`` the URL of an empty database.
"""

from __future__ import annotations

import shutil
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.functional.server_fixture import free_port, serving

#: PostgreSQL does not run as root: Debian's own account for it does.
_ACCOUNT = "postgres"


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    assert found, "PostgreSQL is not installed (bindep.txt)"
    return found[-1].parent


@dataclass
class Postgresql:
    directory: Path
    port: int = field(default_factory=free_port)

    def start(self) -> None:
        shutil.chown(self.directory, _ACCOUNT)
        data = self.directory / "data"
        self._run("initdb", "-D", str(data), "-A", "trust", "-U", _ACCOUNT, "-N", "-E", "UTF8")
        options = f"-p {self.port} -k {self.directory} -h 127.0.0.1 -c fsync=off"
        log = str(self.directory / "output")
        self._run("pg_ctl", "-D", str(data), "-l", log, "-w", "-o", options, "start")

    def end(self) -> None:
        self._run("pg_ctl", "-D", str(self.directory / "data"), "-m", "immediate", "stop")

    def new_database(self, template: str = "template0") -> str:
        """Return the URL of a database like *template* (a name or URL)."""
        name = f"tests_{uuid.uuid4().hex[:12]}"
        where = ("-h", "127.0.0.1", "-p", str(self.port), "-U", _ACCOUNT)
        self._run("createdb", *where, "-T", template.rpartition("/")[2], name)
        return f"postgresql+psycopg2://{_ACCOUNT}@127.0.0.1:{self.port}/{name}"

    def _run(self, program: str, *arguments: str) -> None:
        command = ["setpriv", f"--reuid={_ACCOUNT}", f"--regid={_ACCOUNT}", "--clear-groups"]
        done = subprocess.run(
            [*command, str(_programs() / program), *arguments],
            cwd=self.directory,
            stdout=(self.directory / "said").open("ab"),
            stderr=subprocess.STDOUT,
        )
        assert done.returncode == 0, (self.directory / "said").read_text(errors="replace")[-2000:]


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    with serving(Postgresql) as server:
        yield server
