# SPDX-License-Identifier: Apache-2.0
"""MariaDB: one server, one database a service, and a template with all schemas in it.

Migrating seven schemas takes most of a minute; their result depends only on what is installed. So
the first start of an installation keeps its data directory as a template in the cache.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
from pathlib import Path

from e2ecloud import namespace as ns
from e2ecloud import process
from e2ecloud.config.shared import Site
from e2ecloud.errors import CloudError
from e2ecloud.layout import CONTROLLER_IP, DATABASE_PORT, RUN_DIR, Cloud

DATABASES = (
    "keystone",
    "glance",
    "placement",
    "nova",
    "nova_api",
    "nova_cell0",
    "neutron",
    "barbican",
    "e2etrust",
)
SOCKET = RUN_DIR / "mariadb.sock"


def program(cloud: Cloud) -> process.Program:
    return process.Program(
        "mariadb",
        [
            "mariadbd",
            "--no-defaults",
            "--user=root",
            f"--datadir={_data(cloud)}",
            f"--socket={SOCKET}",
            f"--pid-file={RUN_DIR}/mariadb.pid",
            f"--bind-address={CONTROLLER_IP}",
            f"--port={DATABASE_PORT}",
            "--max-connections=400",
            # A power cut of the machine may cost a cloud that is not kept anyway.
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-flush-method=nosync",
            "--debug-no-sync",
            "--skip-name-resolve",
        ],
        cloud.log / "mariadb.log",
    )


def _data(cloud: Cloud) -> Path:
    return cloud.state / "mariadb"


def template(cloud: Cloud) -> Path:
    """Where the template of this installation lies (it may not be there yet)."""
    installed = hashlib.sha256()
    for part in sorted(os.listdir(cloud.venv / "lib/python3.11/site-packages")):
        installed.update(part.encode() + b"\n")
    return cloud.cache / f"database-{installed.hexdigest()[:16]}"


def prepare(cloud: Cloud, space: ns.Namespace) -> bool:
    """Lay out the data directory; whether it already holds every schema."""
    if template(cloud).is_dir():
        shutil.copytree(template(cloud), _data(cloud))
        return True
    process.run(
        space,
        [
            "mariadb-install-db",
            "--no-defaults",
            "--user=root",
            f"--datadir={_data(cloud)}",
            "--skip-test-db",
            "--auth-root-authentication-method=socket",
        ],
        log=cloud.log / "mariadb.log",
    )
    return False


def grant(site: Site, space: ns.Namespace) -> None:
    """Create what is missing of the databases and set the account's password."""
    statements = [f"create database if not exists {name} charset utf8mb3;" for name in DATABASES]
    statements.append("create user if not exists cloud@'%';")
    statements.append(f"alter user cloud@'%' identified by '{site.credentials.database}';")
    statements.append("grant all on *.* to cloud@'%'; flush privileges;")
    process.run(
        space,
        ["mariadb", "--no-defaults", f"--socket={SOCKET}", "--user=root"],
        stdin="\n".join(statements),
    )


def answers(space: ns.Namespace) -> bool:
    try:
        return ask(space, "select 1") == "1"
    except CloudError:
        return False


def ask(space: ns.Namespace, query: str) -> str:
    """The answer to a query of one value.

    :raises CloudError: when the server does not answer.
    """
    client = ["mariadb", "--no-defaults", f"--socket={SOCKET}", "--user=root"]
    return process.run(space, [*client, "--batch", "--skip-column-names", "-e", query]).strip()


def keep_as_template(cloud: Cloud, space: ns.Namespace, record: Path) -> None:
    """Stop the server cleanly, copy its data directory to the cache, and start it again.

    The copy is moved into place at the end, so that an interrupted one is never used.
    """
    process.stop(space, record, signal.SIGTERM, grace=60)
    for old in cloud.cache.glob("database-*"):
        shutil.rmtree(old)
    unfinished = cloud.cache / "unfinished-database"
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(_data(cloud), unfinished)
    unfinished.rename(template(cloud))
    process.start(space, program(cloud), record)
