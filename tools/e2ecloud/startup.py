# SPDX-License-Identifier: Apache-2.0
"""The order in which a cloud starts: what waits for what, and the rest side by side."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

from e2ecloud import database, hosts, installation, process, schemas, services
from e2ecloud import namespace as ns
from e2ecloud.config.shared import Site
from e2ecloud.errors import CloudError
from e2ecloud.layout import CONTROLLER_IP, HOSTS, PREFIX_LENGTH, Cloud, Host
from e2ecloud.progress import Progress

_APIS = ("placement", "glance", "neutron", "barbican", "nova-api")
_NOVA = ("nova-conductor", "nova-scheduler")


def service_record(cloud: Cloud, name: str) -> Path:
    return cloud.run / name


def outer_record(cloud: Cloud) -> Path:
    return cloud.run / "cloud.namespace"


def open_namespace(cloud: Cloud) -> ns.Namespace:
    """The namespace around everything, with its bridge."""
    ready = cloud.run / "cloud.ready"
    log = cloud.log / "namespace.log"
    script = str(Path(__file__).with_name("outer_init.sh"))
    address = f"{CONTROLLER_IP}/{PREFIX_LENGTH}"
    arguments = [str(cloud.state), str(cloud.etc), address, str(ready), str(cloud.run / "hosts")]
    space = ns.create(
        ["/bin/bash", script, *arguments],
        outer_record(cloud),
        log,
        environment=process.clean_environment({}),
    )
    process.wait_until(
        lambda: ready.exists() or not space.alive(), "the namespace", timeout=20, log=log
    )
    if not space.alive():
        raise CloudError("the cloud's namespace ended at once", log=log)
    return space


class Startup:
    """One start: the services' table, the namespace and the thread pool that it runs on."""

    def __init__(self, site: Site, space: ns.Namespace, progress: Progress) -> None:
        self._site = site
        self._space = space
        self._progress = progress
        self._services = services.controller(site)

    def run(self) -> None:
        """Start everything.

        :raises CloudError: by the first step that failed, with its log.
        """
        with ThreadPoolExecutor(20) as pool:
            booted = [pool.submit(self._boot, host) for host in HOSTS]
            broker = pool.submit(self._start, "rabbitmq")
            keys = pool.submit(schemas.make_keystone_keys, self._site, self._space)
            migrated = pool.submit(self._database)
            identity = [
                pool.submit(self._after, [keys, migrated], step)
                for step in (self._bootstrap, partial(self._start, "keystone"))
            ]
            accounts = pool.submit(self._after, identity, self._identity)
            apis = [
                pool.submit(self._after, [migrated, broker], partial(self._start, name))
                for name in (*_APIS, *_NOVA)
            ]
            computes = [
                pool.submit(self._after, [*booted, accounts, *apis], partial(self._compute, host))
                for host in HOSTS
            ]
            trust = pool.submit(self._after, [accounts, broker, *booted], self._trust)
            found = pool.submit(self._after, computes, self._discover)
            steps = [*booted, broker, keys, migrated, *identity, accounts, *apis, *computes]
        _first_failure([*steps, trust, found])

    def _after(self, before: list[Future[None]], step: Callable[[], None]) -> None:
        for future in before:
            future.result()
        step()

    def _start(self, name: str) -> None:
        service = self._services[name]
        start_service(self._site.cloud, self._space, service)
        self._progress.done(name)

    def _boot(self, host: Host) -> None:
        hosts.boot(self._site, self._space, host)
        self._progress.done(f"{host.name}: measured boot, libvirtd")

    def _database(self) -> None:
        cloud, space = self._site.cloud, self._space
        complete = database.prepare(cloud, space)
        self._start("mariadb")
        process.wait_until(
            lambda: database.answers(space),
            "mariadb",
            timeout=60,
            log=self._services["mariadb"].program.log,
        )
        database.grant(self._site, space)
        if not complete:
            schemas.migrate(self._site, space)
            database.keep_as_template(cloud, space, service_record(cloud, "mariadb"))
            process.wait_until(
                lambda: database.answers(space),
                "mariadb",
                timeout=60,
                log=cloud.log / "mariadb.log",
            )
        self._progress.done("databases with schemas")

    def _bootstrap(self) -> None:
        schemas.bootstrap_keystone(self._site, self._space)

    def _identity(self) -> None:
        cloud = self._site.cloud
        output = process.run(
            self._space,
            [f"{cloud.bin}/python", "-P", "-m", "e2ecloud.identity", str(cloud.credentials_file())],
            environment={"PYTHONPATH": str(cloud.checkout / "tools")},
        )
        installation.configure_verifier(self._site, json.loads(output)["e2etrust"])
        self._progress.done("accounts and catalogue")

    def _compute(self, host: Host) -> None:
        hosts.start_services(self._site, host, ("nova-compute",))

    def _trust(self) -> None:
        """The verifier, and then the agents, which enrol by themselves."""
        if self._site.cloud.plain:
            return
        keys = schemas.prepare_verifier(self._site, self._space)
        installation.pin_verifier(self._site, keys)
        for name in ("e2etrust-verifier", "e2etrust-api"):
            self._start(name)
        for host in HOSTS:
            hosts.start_services(self._site, host, ("e2etrust-agent",))
        self._progress.done("agents")

    def _discover(self) -> None:
        """Wait until every nova-compute has registered, and map them to the cell."""
        log = self._site.cloud.host_log(HOSTS[0]) / "nova/nova-compute.log"
        query = "select count(*) from nova.compute_nodes where deleted = 0"
        process.wait_until(
            lambda: database.ask(self._space, query) == str(len(HOSTS)),
            "nova-compute",
            timeout=120,
            log=log,
            interval=0.5,
        )
        schemas.discover_hosts(self._site, self._space)
        self._progress.done("compute hosts discovered")


def start_service(cloud: Cloud, space: ns.Namespace, service: services.Service) -> None:
    """Start a service of the controller and wait until it listens.

    :raises CloudError: when it ends before that, or does not listen in time.
    """
    record = service_record(cloud, service.name)
    process.start(space, service.program, record)
    if service.port is None:
        return
    port = service.port

    def settled() -> bool:
        return listens(space, port) or process.pid_of(space, record) is None

    process.wait_until(settled, service.name, timeout=120, log=service.program.log)
    if not listens(space, port):
        raise CloudError(f"{service.name} ended at its start", log=service.program.log)


def listens(space: ns.Namespace, port: int) -> bool:
    """Whether something listens on TCP ``port`` in ``space``, read without connecting."""
    wanted = f":{port:04X}"
    for table in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/{space.init_pid}/net/{table}").read_text().splitlines()[1:]
        except OSError:
            return False
        for fields in map(str.split, lines):
            if fields[1].endswith(wanted) and fields[3] == "0A":
                return True
    return False


def _first_failure(steps: list[Future[None]]) -> None:
    """Raise the failure that came first; the others are mostly its consequences."""
    failures = [error for step in steps if (error := step.exception()) is not None]
    for error in failures:
        if isinstance(error, CloudError) and error.log is not None:
            raise error
    if failures:
        raise failures[0]
