# SPDX-License-Identifier: Apache-2.0
"""``e2etrust-verifier``: the trust service on the message bus."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Callable, Collection
from datetime import UTC, datetime

from oslo_config import cfg
from oslo_db import exception as db_exc
from oslo_log import log

from e2etrust_core.errors import E2ETrustError
from e2etrust_core.no_dumps import leave_no_core
from e2etrust_verifier import conf as configuration
from e2etrust_verifier.cmd import build, revoking, telling
from e2etrust_verifier.db import leases, migration
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.db.errors import told
from e2etrust_verifier.heartbeat import Heartbeat
from e2etrust_verifier.housekeeping import Housekeeper
from e2etrust_verifier.notify.courier import rounds
from e2etrust_verifier.placement import Traits
from e2etrust_verifier.round import Round
from e2etrust_verifier.rpc.endpoint import VerifierEndpoint
from e2etrust_verifier.rpc.server import make_server
from e2etrust_verifier.service_clients import adapter_of
from e2etrust_verifier.trait_keeper import TraitKeeper
from e2etrust_verifier.trust import worker_policies

LOG = logging.getLogger(__name__)


def main() -> int:
    parser = argparse.ArgumentParser(description="Attest hosts and gate launches.")
    parser.add_argument("--config-file", action="append", help="default: verifier.conf")
    arguments = parser.parse_args()
    leave_no_core()
    try:
        conf = configuration.load(arguments.config_file)
        log.setup(conf, "e2etrust-verifier")
        serve(conf, _until_signal())
    except E2ETrustError as exc:
        return _ended(exc)
    except db_exc.DBError as exc:
        return _ended(told(exc))
    return 0


def _ended(exc: E2ETrustError) -> int:
    print(f"e2etrust-verifier: {exc.with_remedy()}", file=sys.stderr)
    return 1


def serve(conf: cfg.ConfigOpts, stop: threading.Event) -> None:
    """Serve until *stop* is set; what was begun is finished first."""
    database = Database(conf)
    migration.require_current(database)
    keeper = _trait_keeper(conf, database)
    around = build.surroundings(conf, database, _waker(keeper))
    server = make_server(conf, VerifierEndpoint(around), build.answer_signer(conf))
    housekeeper = Housekeeper(around)
    housekeeping = Round("housekeeping", housekeeper.once, conf.verifier.sweep_interval)
    tellers = rounds(database, telling.destinations(conf), around.now, conf.outbox.interval)
    revoker = revoking.reconciler(conf, database, around.now)
    if revoker is not None:
        tellers.append(Round("revocation", revoker.once, conf.revocation.interval))
    heartbeat = Heartbeat(database, around.now, lambda: worker_policies.tell(around.policies))
    housekeeping.start()
    if keeper is not None:
        keeper.start()
    for teller in tellers:
        teller.start()
    server.start()
    heartbeat.start()
    LOG.info("e2etrust-verifier serves")
    stop.wait()
    LOG.info("e2etrust-verifier ends")
    for teller in tellers:
        teller.ask_to_stop()
    heartbeat.stop()
    server.stop()
    server.wait()
    housekeeping.stop(10.0)
    for teller in tellers:
        teller.stop()
    if keeper is not None:
        keeper.stop()
    database.dispose()


def _trait_keeper(conf: cfg.ConfigOpts, database: Database) -> TraitKeeper | None:
    http = adapter_of(conf, "placement")
    if http is None:
        LOG.info("[placement] names no account: no traits are written")
        return None

    def levels(hosts: Collection[str] | None) -> dict[str, int]:
        return database.read(lambda s: leases.levels(s, datetime.now(UTC), hosts))

    chosen = conf.placement
    return TraitKeeper(
        Traits(http),
        levels,
        chosen.provider_names,
        chosen.sync_interval,
        level_traits=chosen.level_traits,
    )


def _waker(keeper: TraitKeeper | None) -> Callable[[str], None]:
    return (lambda _host: None) if keeper is None else keeper.wake


def _until_signal() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


if __name__ == "__main__":
    sys.exit(main())
