# SPDX-License-Identifier: Apache-2.0
"""An upgrade with everything running: processes of the release before beside those of this one.

By hand, with a checkout of the release before (``git worktree add DIR COMMIT``)::

    E2ETRUST_RELEASE_BEFORE=DIR pytest tests/functional/agent/test_release_before.py

It takes some minutes.  The environment is this one's: what the two releases need of others has to
be the same.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2etrust_agent.errors import AgentDownError
from e2etrust_core.messages import RemoteRefusal
from tests.functional.agent.stack import Stack, until

NOW = str(Path(__file__).parents[3])
BEFORE = os.environ.get("E2ETRUST_RELEASE_BEFORE", "")
pytestmark = [
    pytest.mark.skipif(not BEFORE, reason="E2ETRUST_RELEASE_BEFORE names no checkout"),
    pytest.mark.skipif(os.geteuid() != 0, reason="the agent's socket is for root"),
]
#: What the release before does already, which decides what is seen of its processes.
SIGNS_ANSWERS = Path(BEFORE, "e2etrust_core/signed_answer.py").exists()
VERSIONS = "e2etrust_verifier/db/migrations/versions"
SAME_SCHEMA = {p.name for p in Path(BEFORE, VERSIONS).glob("0*.py")} == {
    p.name for p in Path(NOW, VERSIONS).glob("0*.py")
}
#: Calls go to workers by turns: among so many each gets some.
SEVERAL = 6
#: A scheduler's question, by the code of whichever release it runs in.
ASK = """
import sys
import nova.conf
from oslo_config import cfg
from e2etrust_nova.scheduler.verifier import VerifierClient
cfg.CONF([], default_config_files=[])
client = VerifierClient(cfg.CONF, url=sys.argv[1], timeout=5)
for _ in range(int(sys.argv[2])):
    print([(one.host, one.seconds > 0) for one in client.lease_delta(0).hosts])
"""


@dataclass
class Mixed(Stack):
    """``release`` is where the code of what is started next lies."""

    release: str = BEFORE

    def start(self, *names: str) -> None:
        for name in names:
            key = name if self.release == NOW else f"{name}-before"
            conf = self.conf if name == "verifier" else self.directory / "agent.conf"
            program = [sys.executable, "-m", f"e2etrust_{name}.cmd.{name}"]
            with (self.directory / f"{key}.log").open("ab") as log:
                self.processes[key] = subprocess.Popen(
                    [*program, "--config-file", str(conf)],
                    stdout=log,
                    stderr=log,
                    cwd=self.release,
                    env=_environment(self.release),
                )

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        # Only the schema is of a release; the keys are not.
        release = self.release if "sync" in arguments else NOW
        module = f"e2etrust_verifier.cmd.{program.removeprefix('e2etrust-')}"
        return _run(release, "-m", module, *arguments)

    def attestations(self) -> Counter[str]:
        """Attest several times; return how often it came to what."""
        return Counter(self._attest() for _ in range(SEVERAL))

    def _attest(self) -> str:
        try:
            return "trusted" if self.client.attest().trusted else "untrusted"
        except RemoteRefusal as exc:
            return exc.code

    def leases_as_told_to(self, release: str) -> set[str]:
        asked = _run(release, "-c", ASK, self.broker.url, str(SEVERAL))
        assert asked.returncode == 0, asked.stderr[-2000:]
        return set(asked.stdout.splitlines())

    def agent_of(self, release: str, *, pins: bool = False) -> None:
        """Have the host's agent be that of *release*."""
        for name in [name for name in self.processes if name.startswith("agent")]:
            self.stop(name)
        conf = self.directory / "agent.conf"
        plain = conf.read_text().replace("# verifier_keys", "verifier_keys")
        conf.write_text(plain if pins else plain.replace("verifier_keys", "# verifier_keys", 1))
        self.release = release
        self.start("agent")
        until(self._answers, f"the agent of {release} does not answer")

    def _answers(self) -> bool:
        try:
            found = self.client.status()
        except AgentDownError:
            return False
        return found.lease is not None or found.problem is not None


def _environment(release: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": release, "PYTHONWARNINGS": "ignore"}


def _run(release: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=release,
        env=_environment(release),
    )


@pytest.fixture
def mixed(rabbitmq, emulated_tpm) -> Iterator[Mixed]:  # type: ignore[no-untyped-def]
    with tempfile.TemporaryDirectory(prefix="agent") as directory:
        made = Mixed(Path(directory), emulated_tpm, rabbitmq)
        try:
            made.start("verifier")
            until(lambda: "serves" in made.log("verifier-before"), "the verifier does not serve")
            yield made
        finally:
            made.end()


def test_either_release_works_with_either_and_who_pins_keys_waits_for_the_new_verifier(
    mixed: Mixed,
) -> None:
    passes, told = {"trusted": SEVERAL}, {"[('host1', True)]"}
    mixed.agent_of(BEFORE)
    until(mixed.trusted, "no lease of the release before")

    mixed.release = NOW
    mixed.manage("db", "sync")
    for release in (BEFORE, NOW):  # the old verifier, on the new schema
        mixed.agent_of(release)
        assert mixed.attestations() == passes
        assert mixed.launch()[0]
        assert mixed.leases_as_told_to(release) == told
    mixed.agent_of(NOW, pins=True)
    assert mixed.attestations().keys() == {"trusted" if SIGNS_ANSWERS else "ANSWER_UNSIGNED"}
    checked = mixed.run("e2etrust-status", "--config-file", str(mixed.conf), "upgrade", "check")
    another = "1 e2etrust-verifier of another release run" in " ".join(checked.stdout.split())
    assert another is not SAME_SCHEMA

    mixed.start("verifier")
    until(lambda: "serves" in mixed.log("verifier"), "the verifier does not serve")
    for release in (BEFORE, NOW):  # both verifiers
        mixed.agent_of(release)
        assert mixed.attestations() == passes
        assert mixed.leases_as_told_to(release) == told

    mixed.stop("verifier-before")
    for release, pins in ((BEFORE, False), (NOW, True)):
        mixed.agent_of(release, pins=pins)
        assert mixed.attestations() == passes
        assert mixed.launch()[0]
        assert mixed.leases_as_told_to(release) == told
