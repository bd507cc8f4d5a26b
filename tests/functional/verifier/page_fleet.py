# SPDX-License-Identifier: Apache-2.0
"""A fleet for the operators' page: TPMs in software, appraised by the verifier's own code.

The verifier's clock is moved: what takes hours in a cloud is there at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any
from unittest import mock

from cheroot.wsgi import Server
from keystoneauth1 import fixture
from keystonemiddleware import auth_token
from keystonemiddleware.auth_token import _exceptions
from oslo_config import cfg

from e2etrust_core.evidence.model import HostEvidence, RunningDomain
from e2etrust_core.evidence.tpm_structures import name_of
from e2etrust_core.launch import attest_binding
from e2etrust_core.messages import AttestRequest, ChallengeRequest
from e2etrust_verifier import conf as configuration
from e2etrust_verifier.api import wsgi
from e2etrust_verifier.cmd import build
from e2etrust_verifier.db import hosts, migration, workers
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.db.models import Host
from e2etrust_verifier.trust import attestation, leases, operator, records
from e2etrust_verifier.trust.surroundings import Surroundings
from tests.unit.core.software_tpm import SoftwareTpm

SUITE = "ecc-p256-sha256"
PCRS = (0, 4, 7)
CONF = """[DEFAULT]
transport_url = kombu+memory:////
[database]
connection = sqlite:///{directory}/verifier.sqlite
[verifier]
policy_dir = {directory}/host-policy.d
signing_key = {directory}/signing-key.pem
key_user_id = u
verdicts_kept = 500
[keystone_authtoken]
auth_url = http://127.0.0.1:9/v3
auth_type = password
[key_manager]
backend = tests.functional.verifier.key_manager.TestKeyManager
"""
_BUSY = (
    *(f"compute-{n:03}" for n in (7, 12, 19, 23, 31, 40)),
    "edge-01",
    "edge-02",
)
_EVERY = timedelta(minutes=50)
#: What a host can put into words of its own: the name of a server that it runs.
MARKUP = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
SERVER = "5b0c8a52-0f0d-4c8e-9a51-7d3f0f6f2c11"


@dataclass
class PageFleet:
    """A verifier with its database in *directory*; ``now`` is what its clock says."""

    directory: Path
    server_name: str = MARKUP
    conf: cfg.ConfigOpts = field(init=False)
    around: Surroundings = field(init=False)
    now: datetime = field(default_factory=lambda: datetime.now(UTC) - timedelta(hours=4))
    tpms: dict[str, SoftwareTpm] = field(default_factory=dict)
    going_on: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.round = self.now
        path = self.directory / "verifier.conf"
        path.touch(mode=0o600)
        path.write_text(CONF.format(directory=self.directory))
        (self.directory / "host-policy.d").mkdir()
        for name, recovery in (("compute", "operator"), ("edge", "automatic")):
            self._write_policy(name, recovery)
        records.create_key(self.directory / "signing-key.pem")
        # Not the process-wide object: other tests of this process fill that.
        self.conf = configuration.load([str(path)], cfg.ConfigOpts())
        database = Database(self.conf)
        migration.sync(database)
        made = build.surroundings(self.conf, database, lambda _host: None)
        self.around = Surroundings(
            made.db,
            made.settings,
            made.policies,
            made.endorsement,
            made.signer,
            made.keys,
            made.changed,
            lambda: self.now,
        )

    def _write_policy(self, name: str, recovery: str) -> None:
        values = SoftwareTpm().pcrs["sha256"]
        pcrs = "".join(f"    {n}: ['{values[n].hex()}']\n" for n in PCRS)
        (self.directory / f"host-policy.d/{name}.yaml").write_text(
            f"name: {name}\nhosts: ['{name}-*']\nlease_seconds: 3600\nrecovery: {recovery}\n"
            f"pcrs:\n  sha256:\n{pcrs}"
        )

    def enrol(self, name: str) -> SoftwareTpm:
        """Write down the host as the end of an enrolment does."""
        tpm = self.tpms[name] = SoftwareTpm()
        host = Host(
            name=name,
            suite=SUITE,
            ek_public=tpm.ek_public,
            ek_certificate=None,
            ek_accepted_by="inventory",
            ak_public=tpm.ak_public,
            ak_name=name_of(tpm.ak_public),
            enrolled_at=self.now,
        )
        self.around.db.write(lambda s: hosts.add(s, host, held=False, now=self.now))
        return tpm

    def attest(self, name: str, domains: list[RunningDomain] | None = None) -> bool:
        """Have the host answer a challenge, and return whether it is trusted."""
        tpm, domains = self.tpms[name], domains or []
        tpm.clock += 1000
        challenge = attestation.challenge(self.around, ChallengeRequest(name, "attest"))
        quote = tpm.quote(attest_binding(challenge.nonce, domains), challenge.selection)
        request = AttestRequest(name, challenge.nonce, HostEvidence(quote, None, domains))
        return attestation.attest(self.around, request).trusted

    def later(self, minutes: float) -> None:
        """Let time pass; hosts go on attesting meanwhile."""
        until = min(self.now + timedelta(minutes=minutes), datetime.now(UTC))
        while until - self.round > _EVERY:
            self.now = self.round = self.round + _EVERY
            for name in sorted(self.going_on):
                self.attest(name)
        self.now = until
        leases.sweep(self.around)

    def live(self, count: int, times: int = 20) -> None:
        """Let *count* hosts lead a quiet life, and some more another one.

        :param times: how often one of them attests before it fails.
        """
        names = [*_BUSY, *(f"compute-{n:03}" for n in range(101, 101 + count))]
        for name in names:
            self.enrol(name)
            self.attest(name)
        self.going_on = set(names)
        self._altered("compute-007", 4)
        self._clock_back("compute-019")
        operator.revoke(self.around.db, "compute-023", self.now, "admin", "the disk was swapped")
        self.going_on -= {"compute-012", "compute-040"}
        self._unrecorded("compute-031")
        self._repeated("edge-01", times)
        self._repeated("edge-02", min(times, 5))
        while self.now < datetime.now(UTC) - timedelta(seconds=1):
            self.later(minutes=30)
        for name in sorted(self.going_on):
            self.attest(name)
        for worker in ("one", "two"):
            self.around.db.write(lambda s, w=worker: workers.seen(s, w, "controller", self.now))

    def _altered(self, name: str, pcr: int) -> None:
        self.later(minutes=20)
        self.tpms[name].pcrs["sha256"][pcr] = b"\xa5" * 32
        for _ in range(3):
            self.attest(name)
            self.later(minutes=5)

    def _clock_back(self, name: str) -> None:
        self.tpms[name].reset_count -= 1
        self.attest(name)
        self.later(minutes=10)

    def _unrecorded(self, name: str) -> None:
        running = RunningDomain(SERVER, self.server_name, demands_trust=True, launch=None)
        self.attest(name, [running])
        self.later(minutes=5)

    def _repeated(self, name: str, times: int) -> None:
        for _ in range(times):
            self.attest(name)
            self.later(minutes=2)
        self.tpms[name].pcrs["sha256"][7] = b"\x11" * 32
        for _ in range(4):
            self.attest(name)
            self.later(minutes=2)


#: Token -> role of whom it belongs to.
TOKENS = {"administrator": "admin", "tenant": "member"}


def _fetch_token(_self: object, token: str, **_: Any) -> dict[str, Any]:
    """What keystone would say; keystonemiddleware around it is as it is."""
    if token not in TOKENS:
        raise _exceptions.InvalidToken("no such token")
    told = fixture.V3Token(user_name=token)
    told.set_project_scope()
    told.add_role(name=TOKENS[token])
    return dict(told)


@contextmanager
def served(conf: cfg.ConfigOpts) -> Iterator[str]:
    """Serve the verifier's application on a port of its own, and tell its address."""
    application = wsgi.make_application(conf)
    server = Server(("127.0.0.1", 0), application, numthreads=4)
    server.prepare()
    thread = Thread(target=server.serve)
    thread.start()
    try:
        with mock.patch.object(auth_token.AuthProtocol, "fetch_token", _fetch_token):
            yield f"http://127.0.0.1:{server.bind_addr[1]}"
    finally:
        server.stop()
        thread.join()
