# SPDX-License-Identifier: Apache-2.0
"""A verifier of the tests' own on each database, and hosts with real TPMs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from oslo_config import cfg
from oslo_db import options

from e2etrust_core.tpm.device import Tpm
from e2etrust_core.tpm.pcr import read_pcrs
from e2etrust_verifier import conf as configuration
from e2etrust_verifier.cmd import build
from e2etrust_verifier.db import migration
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.rpc.endpoint import VerifierEndpoint
from e2etrust_verifier.trust import records
from e2etrust_verifier.trust.surroundings import Surroundings, utc_now
from tests.functional.mariadb_fixture import Mariadb
from tests.functional.postgresql_fixture import Postgresql
from tests.functional.swtpm_fixture import EmulatedTpm
from tests.functional.verifier.host import Host

CONF = """[DEFAULT]
transport_url = {transport}
[database]
connection = {database}
[verifier]
policy_dir = {directory}/policy.d
signing_key = {directory}/signing-key.pem
ek_ca_bundle = {directory}/ek-ca.pem
nonce_lifetime = 20
sweep_interval = 0.3
{more}
[key_manager]
backend = tests.functional.verifier.key_manager.TestKeyManager
"""


def write_policy(directory: Path, tpm: EmulatedTpm, /, **changes: Any) -> None:
    """Write the policy that this TPM, as it is now, satisfies."""
    values = read_pcrs(Tpm(tpm.tcti), {"sha256": [0, 7, 9]})["sha256"]
    pcrs = "".join(f"    {n}: ['{value.hex()}']\n" for n, value in values.items())
    chosen = {
        "name": "compute",
        "hosts": "['host*']",
        "lease_seconds": 60,
        "recovery": "automatic",
        **changes,
    }
    lines = "".join(f"{name}: {value}\n" for name, value in chosen.items())
    target = directory / "policy.d" / "compute.yaml"
    target.parent.mkdir(exist_ok=True)
    target.write_text(f"{lines}pcrs:\n  sha256:\n{pcrs}")


def write_conf(
    directory: Path, tpm: EmulatedTpm, database: str, transport: str, more: str = ""
) -> Path:
    """Write all that a verifier needs into *directory* and return its configuration file."""
    path = directory / "verifier.conf"
    path.touch(mode=0o600)
    path.write_text(
        CONF.format(directory=directory, database=database, transport=transport, more=more)
    )
    (directory / "ek-ca.pem").write_bytes(tpm.ca_bundle)
    write_policy(directory, tpm)
    records.create_key(directory / "signing-key.pem")
    return path


@dataclass
class Laboratory:
    """One verifier in this process.  ``later`` moves its clock."""

    directory: Path
    around: Surroundings
    tpms: Callable[[], EmulatedTpm]
    first: EmulatedTpm
    shift: list[timedelta]
    told: list[str]
    _hosts: int = field(default=0)

    def __post_init__(self) -> None:
        self.endpoint = VerifierEndpoint(self.around)

    def call(self, method: str, request: Any) -> dict[str, Any]:
        return getattr(self.endpoint, method)({}, request=request)

    def host(self, name: str = "host1", tpm: EmulatedTpm | None = None) -> Host:
        if tpm is None:
            tpm = self.first if self._hosts == 0 else self.tpms()
        self._hosts += 1
        return Host(name, Tpm(tpm.tcti), self.call)

    def later(self, seconds: float) -> None:
        self.shift[0] += timedelta(seconds=seconds)

    def policy(self, **changes: Any) -> None:
        write_policy(self.directory, self.first, **changes)


#: On which databases a test that names none runs: all of them would take twice as long.
#: test_postgresql.py says which tests run on PostgreSQL; by hand all may, and on MariaDB by way of
#: "mysqlclient" where that is installed.
DATABASES = os.environ.get("E2ETRUST_TEST_DATABASES", "sqlite,mariadb").split(",")


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return request.getfixturevalue("postgresql").new_database()
    if request.param == "galera":
        return request.getfixturevalue("galera").new_database()[0]
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/verifier.sqlite"
    url = request.getfixturevalue("mariadb").new_database()
    return url.replace("pymysql", "mysqldb") if request.param == "mysqlclient" else url


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with the schema of now."""
    path = tmp_path_factory.mktemp("migrated") / "verifier.sqlite"
    _migrated(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_mariadb(mariadb: Mariadb) -> str:
    """SQL of a database with the schema of now: to run every migration takes longer."""
    return mariadb.dump(_migrated(mariadb.new_database()))


@pytest.fixture(scope="session")
def migrated_postgresql(postgresql: Postgresql) -> str:
    """The URL of a database with the schema of now, which others are copied from."""
    return _migrated(postgresql.new_database())


def _migrated(url: str) -> str:
    conf = cfg.ConfigOpts()
    options.set_defaults(conf, connection=url)
    conf([])
    database = Database(conf)
    migration.sync(database)
    database.dispose()
    return url


@pytest.fixture
def migrated_url(request: pytest.FixtureRequest, database_url: str) -> str:
    """A database with the schema of now, and nothing in it."""
    if database_url.startswith("mysql"):
        sql = request.getfixturevalue("migrated_mariadb")
        found = request.getfixturevalue
        own = request.node.callspec.params["database_url"] == "galera"
        server = found("galera").nodes[0] if own else found("mariadb")
        server.fill(database_url, sql)
    elif database_url.startswith("postgresql"):
        template = request.getfixturevalue("migrated_postgresql")
        return request.getfixturevalue("postgresql").new_database(template)
    else:
        template = request.getfixturevalue("migrated_sqlite")
        shutil.copy(template, database_url.removeprefix("sqlite:///"))
    return database_url


@pytest.fixture
def laboratory(
    tmp_path: Path,
    migrated_url: str,
    swtpm_factory: Callable[[], EmulatedTpm],
) -> Iterator[Laboratory]:
    first = swtpm_factory()
    path = write_conf(tmp_path, first, migrated_url, "kombu+memory:////")
    conf = configuration.load([str(path)])
    database = Database(conf)
    shift, told = [timedelta()], []  # type: ignore[var-annotated]

    def now() -> datetime:
        return utc_now() + shift[0]

    around = build.surroundings(conf, database, told.append)
    moved = Surroundings(
        around.db,
        around.settings,
        around.policies,
        around.endorsement,
        around.signer,
        around.keys,
        around.changed,
        now,
    )
    yield Laboratory(tmp_path, moved, swtpm_factory, first, shift, told)
    database.dispose()


@pytest.fixture
def host(laboratory: Laboratory) -> Host:
    """The first host, enrolled."""
    made = laboratory.host()
    made.enrol()
    return made
