# SPDX-License-Identifier: Apache-2.0
"""A real MariaDB of the tests' own: private port and directory, gone at the end.

``mariadb`` is one server a session, ``mariadb.new_database()`` the URL of an empty database.
"""

from __future__ import annotations

import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pymysql
import pytest
from pymysql.constants import CLIENT

from tests.functional.server_fixture import free_port, serving


@dataclass
class Mariadb:
    directory: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    #: The user it runs as.
    account: str = "root"

    @property
    def options(self) -> list[str]:
        """Return what else it is started with."""
        return []

    @property
    def _socket(self) -> str:
        return str(self.directory / "socket")

    def install(self) -> None:
        made = subprocess.run(
            [
                "mariadb-install-db",
                "--no-defaults",
                f"--user={self.account}",
                f"--datadir={self.directory / 'data'}",
                "--skip-test-db",
                "--auth-root-authentication-method=normal",
            ],
            capture_output=True,
            text=True,
        )
        assert made.returncode == 0, made.stdout + made.stderr

    def start(self) -> None:
        if not (self.directory / "data").exists():
            self.install()
        log = (self.directory / "output").open("ab")
        self.process = subprocess.Popen(
            [
                "mariadbd",
                "--no-defaults",
                f"--user={self.account}",
                f"--datadir={self.directory / 'data'}",
                f"--socket={self._socket}",
                f"--pid-file={self.directory / 'pid'}",
                "--bind-address=127.0.0.1",
                f"--port={self.port}",
                "--innodb-flush-log-at-trx-commit=0",
                # What is written outlives the server's end all the same, not the machine's.
                "--innodb-flush-method=nosync",
                "--debug-no-sync",
                "--skip-name-resolve",
                # As by default from 11.6 on.
                "--innodb-snapshot-isolation=ON",
                *self.options,
            ],
            stdout=log,
            stderr=log,
        )
        log.close()
        deadline = time.monotonic() + 60
        while not self._answers():
            told = (self.directory / "output").read_text(errors="replace")[-2000:]
            assert self.process.poll() is None, f"mariadbd ended at once: {told}"
            assert time.monotonic() < deadline, f"mariadbd does not listen: {told}"
            time.sleep(0.1)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=60)
            self.process = None

    def new_database(self) -> str:
        name = f"tests_{uuid.uuid4().hex[:12]}"
        with self._connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
            cursor.execute("CREATE USER IF NOT EXISTS tests@'127.0.0.1' IDENTIFIED BY 'tests'")
            cursor.execute(f"GRANT ALL ON {name}.* TO tests@'127.0.0.1'")
        return f"mysql+pymysql://tests:tests@127.0.0.1:{self.port}/{name}"

    def dump(self, url: str) -> str:
        """Return SQL that fills an empty database with what is in that of *url*."""
        command = ["mariadb-dump", f"--socket={self._socket}", "--user=root", "--compact"]
        name = url.rpartition("/")[2]
        return subprocess.run([*command, name], capture_output=True, text=True, check=True).stdout

    def fill(self, url: str, sql: str) -> None:
        """Run *sql*, which :meth:`dump` made, in the database of *url*."""
        with self._connect(url.rpartition("/")[2]) as connection, connection.cursor() as cursor:
            cursor.execute(f"SET foreign_key_checks = 0; {sql}")
            while cursor.nextset():
                pass

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    end = kill

    def keep_every_commit(self) -> None:
        """Until the next start: lose no commit when killed, as servers do by default."""
        self.set("innodb_flush_log_at_trx_commit", 1)

    def set(self, variable: str, value: int | str) -> None:
        """Set a variable of the whole server, until its next start."""
        with self._connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"SET GLOBAL {variable} = {value}")

    def _connect(self, name: str | None = None) -> pymysql.connections.Connection:
        return pymysql.connect(
            unix_socket=self._socket,
            user="root",
            database=name,
            autocommit=True,
            client_flag=CLIENT.MULTI_STATEMENTS,
        )

    def _answers(self) -> bool:
        if not os.path.exists(self._socket):
            return False
        try:
            self._connect().close()
        except pymysql.err.OperationalError:
            return False
        return True


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Mariadb]:
    with serving(Mariadb) as server:
        yield server
