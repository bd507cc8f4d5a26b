# SPDX-License-Identifier: Apache-2.0
"""A whole attestation against TPM2_Quote alone: real swtpm, RabbitMQ, MariaDB, verifier process.

round trip  the agent's own loop, once: evidence for the challenge that came with the lease before,
            appraisal, lease
quote       TPM2_Quote of the same PCRs by the same key, on a connection held open, key loaded
first       the round trip of an agent that has just started, and asks for its challenge

All are taken in turn, for each suite that the TPM has.  ``ratio`` is the worst suite's.  Where the
time goes stands beside: ``bus`` is one call that the verifier refuses before it looks anything up,
``commit`` one row written to its database; a round trip has one call and two transactions that
write, and reads besides.  An emulated TPM quotes in a few milliseconds, a chip takes far longer:
``needs`` is the quote's length from which the goal would hold with what was measured around it.  No
delay is put into any of these.

``as_chip`` is another figure, and not the goal's: the same round trips against the same quotes over
a way to the TPM on which TPM2_Quote takes as long as real chips take to sign
(``relay_tpm/slow_quote.py`` says which and where from).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import oslo_messaging  # noqa: E402
import sqlalchemy as sa  # noqa: E402
from oslo_config import cfg  # noqa: E402
from tpm2_pytss import ESYS_TR, TPM2B_DATA  # noqa: E402

from benchmarks.relay_tpm.slow_quote import CHIPS, slow_quotes  # noqa: E402
from e2etrust_agent.attestation import AttestationLoop  # noqa: E402
from e2etrust_agent.attester import Attester, Binding, MeasurementLogs  # noqa: E402
from e2etrust_agent.backoff import Backoff  # noqa: E402
from e2etrust_agent.domains import running_domains  # noqa: E402
from e2etrust_agent.identity import load_or_create  # noqa: E402
from e2etrust_agent.launches import LaunchBook  # noqa: E402
from e2etrust_agent.standing import StandingBoard  # noqa: E402
from e2etrust_agent.verifier_bus import VerifierBus  # noqa: E402
from e2etrust_core import messages  # noqa: E402
from e2etrust_core.evidence.model import HostEvidence, PcrSelection  # noqa: E402
from e2etrust_core.tpm.device import Tpm  # noqa: E402
from e2etrust_core.tpm.keys import loaded_ak  # noqa: E402
from e2etrust_core.tpm.pcr import tss_selection  # noqa: E402
from tests.functional.mariadb_fixture import Mariadb  # noqa: E402
from tests.functional.rabbitmq_fixture import Broker  # noqa: E402
from tests.functional.swtpm_fixture import EmulatedTpm  # noqa: E402
from tests.functional.verifier.conftest import write_conf  # noqa: E402

SUITES = ("rsa2048-sha256", "ecc-p256-sha256", "sm2-sha256")
#: What ``write_policy`` of the tests asks for.
SELECTION: PcrSelection = {"sha256": [0, 7, 9]}
WARM_UP, ROUNDS = 20, 150
#: Rounds with a chip's quote, which takes a tenth of a second.
CHIP_WARM_UP, CHIP_ROUNDS = 5, 50
GOAL = 1.2

T = TypeVar("T")


@dataclass(frozen=True)
class Figure:
    """Medians of one suite in milliseconds; ``round_trip`` is ``evidence``, ``attest`` and more.

    ``evidence`` is the agent's quote with all around it, from the list of domains to the PCRs.
    """

    name: str
    ratio: float
    goal: float
    holds: bool
    quote_ms: float
    round_trip_ms: float
    evidence_ms: float
    attest_ms: float
    bus_ms: float
    commit_ms: float
    first_ms: float
    needs_quote_ms: float


@dataclass(frozen=True)
class ChipFigure:
    """Medians in milliseconds with TPM2_Quote as slow as that of ``chip``."""

    name: str
    chip: str
    chip_signs_ms: float
    ratio: float
    quote_ms: float
    round_trip_ms: float


@dataclass
class Parts:
    """Seconds, one of each for a round."""

    taken: dict[str, list[float]] = field(default_factory=dict)

    def timed(self, name: str, run: Callable[[], T]) -> T:
        began = time.perf_counter()
        try:
            return run()
        finally:
            self.taken.setdefault(name, []).append(time.perf_counter() - began)

    def median_ms(self, name: str) -> float:
        return round(statistics.median(self.taken[name]) * 1e3, 3)


class TimedBus(VerifierBus):
    """The agent's way to the verifier, with a clock beside it."""

    parts: Parts

    def attest(self, request: messages.AttestRequest) -> messages.AttestResult:
        call = super().attest
        return self.parts.timed("attest", lambda: call(request))


class TimedAttester(Attester):
    """The agent's attester, with a clock beside it."""

    parts: Parts

    def evidence(self, challenge: messages.Challenge, binding: Binding) -> HostEvidence:
        take = super().evidence
        return self.parts.timed("evidence", lambda: take(challenge, binding))


class Host:
    """One compute host: its TPM, and the agent's parts as its service puts them together."""

    def __init__(self, directory: Path, tpm: EmulatedTpm, suite: str, transport: Any) -> None:
        self.parts, self._tpm = Parts(), Tpm(tpm.tcti)
        domains = directory / "domains"
        domains.mkdir(parents=True)
        self._identity = load_or_create(self._tpm, f"host-{suite}", suite, directory / "state")
        book = LaunchBook(directory / "state/launches.json", 30)
        attester = TimedAttester(
            self._tpm, self._identity, MeasurementLogs(), lambda: running_domains(domains), book
        )
        bus = TimedBus(transport, timeout=20)
        attester.parts = bus.parts = self.parts
        self._bus = bus
        board = StandingBoard()
        self._new_loop = lambda: AttestationLoop(attester, bus, board, Backoff(1, 1))
        self._loop = self._new_loop()

    @contextlib.contextmanager
    def by_way_of(self, tcti: str) -> Iterator[None]:
        """Reach the same TPM over another TCTI; what was measured before is forgotten."""
        before, self._tpm.tcti = self._tpm.tcti, tcti
        self.parts.taken.clear()
        try:
            yield
        finally:
            self._tpm.tcti = before

    def round_trip(self) -> None:
        self._attest("round_trip", self._loop)

    def first(self) -> None:
        """Attest as an agent that holds no challenge yet."""
        self._attest("first", self._new_loop())

    def _attest(self, name: str, loop: AttestationLoop) -> None:
        result = self.parts.timed(name, loop.attest)
        if not result.trusted:
            raise SystemExit(f"relay: the host is not trusted: {result.checks}")

    def quote(self) -> None:
        """TPM2_Quote and nothing else inside the clock."""
        selection, nonce = tss_selection(SELECTION), TPM2B_DATA(secrets.token_bytes(32))
        ak = self._identity.ak
        with self._tpm.connected() as esys, loaded_ak(self._tpm, esys, ak) as handle:
            self.parts.timed(
                "quote", lambda: esys.quote(handle, selection, nonce, session1=ESYS_TR.PASSWORD)
            )

    def bus(self) -> None:
        """A call that the verifier cannot read: it answers so without asking its database."""
        request = messages.ChallengeRequest(self._identity.host, "nothing")  # type: ignore[arg-type]
        try:
            self.parts.timed("bus", lambda: VerifierBus.challenge(self._bus, request))
        except messages.RemoteRefusal:
            return
        raise SystemExit("relay: the verifier answered a request that is none")


def measure(hosts: dict[str, Host], commits: Commits) -> list[Figure]:
    """Take turns among the suites too: what slows the machine down meanwhile hurts all."""
    for number in range(WARM_UP + ROUNDS):
        for host in hosts.values():
            if number == WARM_UP:
                host.parts.taken.clear()
            host.quote()
            host.round_trip()
            host.first()
            host.bus()
            host.parts.timed("commit", commits.one)
    return [figure(host.parts, suite) for suite, host in hosts.items()]


def measure_as_chip(host: Host, tpm: EmulatedTpm, suite: str) -> ChipFigure:
    chip = CHIPS[suite]
    own = tpm.socket.with_name("chip.sock")
    with slow_quotes(tpm.socket, own, chip.seconds) as tcti, host.by_way_of(tcti):
        for number in range(CHIP_WARM_UP + CHIP_ROUNDS):
            if number == CHIP_WARM_UP:
                host.parts.taken.clear()
            host.quote()
            host.round_trip()
        medians = [host.parts.median_ms(part) for part in ("quote", "round_trip")]
        signs = round(chip.seconds * 1e3, 3)
        return ChipFigure(suite, chip.name, signs, ratio_of(host.parts), *medians)


def ratio_of(parts: Parts) -> float:
    pairs = zip(parts.taken["round_trip"], parts.taken["quote"], strict=True)
    return round(statistics.median(whole / quote for whole, quote in pairs), 2)


def figure(parts: Parts, name: str) -> Figure:
    pairs = list(zip(parts.taken["round_trip"], parts.taken["quote"], strict=True))
    ratio = ratio_of(parts)
    around = statistics.median(whole - quote for whole, quote in pairs)
    names = ("quote", "round_trip", "evidence", "attest", "bus", "commit", "first")
    medians = [parts.median_ms(part) for part in names]
    needs = round(around * 1e3 / (GOAL - 1), 1)
    return Figure(name, ratio, GOAL, ratio <= GOAL, *medians, needs)


@contextlib.contextmanager
def tpms(directory: Path) -> Iterator[dict[str, EmulatedTpm]]:
    """Yield a TPM for each suite, all certified by one authority."""
    made: dict[str, EmulatedTpm] = {}
    try:
        for suite in SUITES:
            place = directory / suite
            made[suite] = EmulatedTpm(place, directory / "ca", directory / f"{suite}.sock")
            made[suite].manufacture()
            made[suite].power_on()
        yield made
    finally:
        for tpm in made.values():
            tpm.power_off()


@contextlib.contextmanager
def servers(directory: Path) -> Iterator[tuple[str, str]]:
    """Yield the URLs of a broker and of an empty database that keeps what it committed."""
    broker, database = Broker(directory / "broker"), Mariadb(directory / "database")
    for one in (broker, database):
        one.directory.mkdir()
    try:
        broker.start()
        database.install()
        database.start()
        with database._connect() as connection, connection.cursor() as cursor:
            # The tests' server does without; a deployed one writes each commit to the disk.
            cursor.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
        yield broker.url, database.new_database()
    finally:
        database.stop()
        broker.end()


@contextlib.contextmanager
def verifier(conf: Path) -> Iterator[None]:
    """``e2etrust-verifier`` as a process of its own."""
    programs = Path(sys.executable).parent
    # The configuration names the key manager of the tests, which is never asked here.
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent), "PYTHONWARNINGS": "ignore"}
    subprocess.run(
        [programs / "e2etrust-manage", "--config-file", conf, "db", "sync"],
        check=True,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    log = conf.parent / "verifier.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [programs / "e2etrust-verifier", "--config-file", conf],
            env=environment,
            stdout=stream,
            stderr=stream,
        )
    try:
        deadline = time.monotonic() + 60
        while "e2etrust-verifier serves" not in log.read_text(errors="replace"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"relay: no verifier: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(timeout=40)


def as_deployed(conf: Path) -> Path:
    """Take out what makes tests quick: rows and challenges get old there within seconds."""
    quick = ("sweep_interval", "nonce_lifetime")
    kept = [line for line in conf.read_text().splitlines() if not line.startswith(quick)]
    conf.write_text("\n".join(kept) + "\n")
    return conf


class Commits:
    """One row written and committed to the same database, for what a transaction costs at least."""

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url)
        with self._engine.begin() as connection:
            connection.execute(sa.text("CREATE TABLE relay (n INTEGER)"))

    def one(self) -> None:
        with self._engine.begin() as connection:
            connection.execute(sa.text("INSERT INTO relay VALUES (1)"))


def run() -> tuple[list[Figure], list[ChipFigure]]:
    with contextlib.ExitStack() as stack:
        # Unix socket paths are short, and so is this one.
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relay-")))
        chips = stack.enter_context(tpms(directory))
        transport_url, database_url = stack.enter_context(servers(directory))
        first = next(iter(chips.values()))
        conf = as_deployed(write_conf(directory, first, database_url, transport_url))
        stack.enter_context(verifier(conf))
        cfg.CONF([], default_config_files=[])
        transport = oslo_messaging.get_rpc_transport(cfg.CONF, transport_url)
        stack.callback(transport.cleanup)
        hosts = {s: Host(directory / f"host-{s}", tpm, s, transport) for s, tpm in chips.items()}
        figures = measure(hosts, Commits(database_url))
        return figures, [measure_as_chip(hosts[s], chips[s], s) for s in CHIPS]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    arguments = parser.parse_args()
    logging.disable(logging.ERROR)
    figures, as_chip = run()
    for one in figures:
        print(
            f"{one.name:16} {one.ratio:6.2f} of TPM2_Quote (goal <= {GOAL}): round trip "
            f"{one.round_trip_ms} ms (evidence {one.evidence_ms}, attest {one.attest_ms}; "
            f"{one.first_ms} where a challenge is asked for), quote {one.quote_ms} ms; "
            f"bus {one.bus_ms} ms a call, {one.commit_ms} ms a commit; would hold with a TPM that "
            f"quotes in {one.needs_quote_ms} ms or more: "
            f"{'holds' if one.holds else 'MISSED'}"
        )
    for chip in as_chip:
        print(
            f"{chip.name:16} {chip.ratio:6.2f} of TPM2_Quote as on a {chip.chip} (signs in "
            f"{chip.chip_signs_ms} ms): round trip {chip.round_trip_ms} ms, quote "
            f"{chip.quote_ms} ms; the goal is not measured so"
        )
    holds = all(one.holds for one in figures)
    if arguments.json:
        worst = max(figures, key=lambda one: one.ratio)
        told = {**asdict(worst), "name": "relay", "holds": holds}
        told["figures"] = [asdict(one) for one in figures]
        print(json.dumps({**told, "as_chip": [asdict(one) for one in as_chip]}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
