# SPDX-License-Identifier: Apache-2.0
"""Every service's database schema, by the service's own migration command."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from e2ecloud import namespace as ns
from e2ecloud import process
from e2ecloud.config.shared import Site

# Cell mappings as templates: Nova fills in account and password from its own configuration, so
# that neither the database template nor a command line ever holds a password.
_CELL = "{scheme}://{username}:{password}@{hostname}:{port}/"


def migrate(site: Site, space: ns.Namespace) -> None:
    """Run all migrations, two services at a time.

    :raises CloudError: with the log of the migration that failed.
    """
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(job, site, space) for job in (_nova, _neutron, _keystone, _others)]
    for job in jobs:
        job.result()


def make_keystone_keys(site: Site, space: ns.Namespace) -> None:
    """Keystone's keys of this cloud, without which it does not start. No database is asked."""
    for command in ("fernet_setup", "credential_setup"):
        owner = ["--keystone-user", "root", "--keystone-group", "root"]
        _command(site, space, "keystone", _manage(site, "keystone", command, *owner))


def bootstrap_keystone(site: Site, space: ns.Namespace) -> None:
    """The admin account and keystone's catalogue entry."""
    url = "http://172.30.0.1:5000/v3"
    arguments = ["--bootstrap-region-id", "RegionOne", "--bootstrap-service-name", "keystone"]
    for interface in ("admin", "public", "internal"):
        arguments += [f"--bootstrap-{interface}-url", url]
    process.run(
        space,
        _manage(site, "keystone", "bootstrap", *arguments),
        environment={"OS_BOOTSTRAP_PASSWORD": site.credentials.admin},
        log=site.cloud.log / "schema-keystone.log",
    )


def _manage(site: Site, service: str, *arguments: str) -> Sequence[str]:
    return [
        f"{site.cloud.bin}/{service}-manage",
        "--config-file",
        f"{site.cloud.etc}/{service}/{service}.conf",
        *arguments,
    ]


def _command(site: Site, space: ns.Namespace, service: str, argv: Sequence[str]) -> None:
    process.run(space, argv, log=site.cloud.log / f"schema-{service}.log", timeout=600)


def _keystone(site: Site, space: ns.Namespace) -> None:
    _command(site, space, "keystone", _manage(site, "keystone", "db_sync"))


def _neutron(site: Site, space: ns.Namespace) -> None:
    tool = f"{site.cloud.bin}/neutron-db-manage"
    config = f"{site.cloud.etc}/neutron/neutron.conf"
    _command(site, space, "neutron", [tool, "--config-file", config, "upgrade", "head"])


def _others(site: Site, space: ns.Namespace) -> None:
    _command(site, space, "placement", _manage(site, "placement", "db", "sync"))
    glance = f"{site.cloud.etc}/glance/glance-api.conf"
    tool = f"{site.cloud.bin}/glance-manage"
    _command(site, space, "glance", [tool, "--config-file", glance, "db_sync"])
    # barbican-manage would make a SQLite file in silence; the tool reads the URL from its option
    # or its configuration, and the option would show the password to everybody.
    process.run(
        space,
        [f"{site.cloud.bin}/barbican-db-manage", "upgrade"],
        environment={"OS_BARBICAN_CONFIG_DIR": str(site.cloud.etc / "barbican")},
        log=site.cloud.log / "schema-barbican.log",
    )


def _nova(site: Site, space: ns.Namespace) -> None:
    def nova(*arguments: str) -> None:
        _command(site, space, "nova", _manage(site, "nova", *arguments))

    nova("api_db", "sync")
    nova("cell_v2", "map_cell0", "--database_connection", f"{_CELL}nova_cell0")
    nova("db", "sync")
    nova(
        *("cell_v2", "create_cell", "--name", "cell1"),
        *("--database_connection", f"{_CELL}nova", "--transport-url", _CELL),
    )


def discover_hosts(site: Site, space: ns.Namespace) -> None:
    """Map the compute hosts that have registered to their cell."""
    _command(site, space, "nova", _manage(site, "nova", "cell_v2", "discover_hosts"))


def prepare_verifier(site: Site, space: ns.Namespace) -> str:
    """The verifier's schema and signing key, as doc/admin tells an operator to make them.

    Returns the key set that hosts and schedulers know it by.
    """
    manage = [f"{site.cloud.bin}/e2etrust-manage", "--config-file", "/etc/e2etrust/verifier.conf"]
    with ThreadPoolExecutor(1) as beside:
        synced = beside.submit(_command, site, space, "e2etrust", [*manage, "db", "sync"])
        _command(site, space, "e2etrust", [*manage, "key", "create"])
        keys = process.run(space, [*manage, "key", "jwks"])
        synced.result()
    return keys
