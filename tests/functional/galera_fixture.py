# SPDX-License-Identifier: Apache-2.0
"""A real Galera cluster of the tests' own: three MariaDB nodes on loopback, gone at the end.

``galera`` is one cluster a session.  It takes some 15 seconds to come up.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.functional.mariadb_fixture import Mariadb
from tests.functional.server_fixture import free_port, serving

_PROVIDER = Path("/usr/lib/galera/libgalera_smm.so")
#: rsync's daemon, by which a node gets its data from another, gives up root by itself.
_ACCOUNT = "mysql"
_NODES = 3
_PATIENCE = 90.0
#: A node that says nothing for so long is gone.  Shorter, and busy machines lose live ones.
_TIMES = "evs.keepalive_period=PT0.5S;evs.suspect_timeout=PT4S;evs.inactive_timeout=PT8S"


@dataclass
class Node(Mariadb):
    account: str = _ACCOUNT
    group_port: int = field(default_factory=free_port)
    ist_port: int = field(default_factory=free_port)
    sst_port: int = field(default_factory=free_port)
    #: Of nodes that it joins; none where it begins a cluster.
    peers: str = ""

    @property
    def options(self) -> list[str]:
        here = f"127.0.0.1:{self.group_port}"
        listens = f"gmcast.listen_addr=tcp://{here};ist.recv_addr=127.0.0.1:{self.ist_port}"
        return [
            "--binlog-format=ROW",
            "--innodb-autoinc-lock-mode=2",
            "--wsrep-on=ON",
            f"--wsrep-provider={_PROVIDER}",
            f"--wsrep-provider-options=base_port={self.group_port};{listens};{_TIMES}",
            f"--wsrep-cluster-address=gcomm://{self.peers}",
            f"--wsrep-node-address={here}",
            f"--wsrep-node-name=node{self.group_port}",
            "--wsrep-sst-method=rsync",
            f"--wsrep-sst-receive-address=127.0.0.1:{self.sst_port}",
        ]

    def status(self, name: str) -> str:
        with self._connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"SHOW STATUS LIKE '{name}'")
            found = cursor.fetchone()
        return found[1] if found else ""

    def wait_synced(self) -> None:
        deadline = time.monotonic() + _PATIENCE
        while self.status("wsrep_local_state_comment") != "Synced":
            assert time.monotonic() < deadline, "the node does not catch up"
            time.sleep(0.1)

    @contextmanager
    def behind(self) -> Iterator[None]:
        """Have the node apply nothing of the others, as one that is slow."""
        with self._connect() as connection, connection.cursor() as cursor:
            cursor.execute("FLUSH TABLES WITH READ LOCK")
            yield
            cursor.execute("UNLOCK TABLES")

    def _answers(self) -> bool:
        # While it gets its data from another it listens to nobody, or says WSREP: not ready.
        return super()._answers() and self.status("wsrep_ready") == "ON"


@dataclass
class Galera:
    directory: Path
    nodes: list[Node] = field(default_factory=list)

    def start(self) -> None:
        for number in range(_NODES):
            where = self.directory / str(number)
            where.mkdir()
            shutil.chown(where, _ACCOUNT)
            self.nodes.append(Node(where))
        self.directory.chmod(0o755)
        first, *others = self.nodes
        first.start()
        first.stop()
        for node in self.nodes:
            node.peers = ",".join(f"127.0.0.1:{n.group_port}" for n in self.nodes if n != node)
        for node in others:  # with data of the first they catch up at once
            shutil.copytree(first.directory / "data", node.directory / "data")
            for path in (node.directory / "data", *(node.directory / "data").rglob("*")):
                shutil.chown(path, _ACCOUNT, _ACCOUNT)
        joins, first.peers = first.peers, ""
        first.start()
        first.peers = joins
        with ThreadPoolExecutor() as pool:
            list(pool.map(Node.start, others))
        for node in self.nodes:
            node.wait_synced()

    def end(self) -> None:
        for node in self.nodes:
            node.kill()

    def new_database(self) -> list[str]:
        """Return the URL of one empty database on each node."""
        url = self.nodes[0].new_database()
        return [url.replace(f":{self.nodes[0].port}/", f":{n.port}/") for n in self.nodes]


def missing() -> str | None:
    """Say what a cluster cannot run without."""
    if not _PROVIDER.exists():
        return "Debian's galera-4 is not installed"
    return None if shutil.which("rsync") else "rsync is not installed"


@pytest.fixture(scope="session")
def galera() -> Iterator[Galera]:
    with serving(Galera) as cluster:
        yield cluster
