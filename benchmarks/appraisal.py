# SPDX-License-Identifier: Apache-2.0
"""Appraisal of a quote and 5,000 IMA entries against the same functions of Keylime, one core.

Both hold the same quotes, the same entries and the same allowed files, in turns on one CPU.  Times
are of the processor that each side's process took, so what else runs on the machine counts for
neither; a ratio is the median of rounds of which each has both sides, one right after the other.

cold         one host, nothing known of its entries, a policy of its own 5,000 files
fleet        1,000 hosts of 10 images whose lists overlap (every tenth of them by Keylime, too), and
             a policy of all that they run
incremental  50 new entries, the fleet's policy

``ratio`` is against Keylime as it runs, which parses its policy in each attestation; what is left
of it where the policy is parsed before the clock starts stands beside it (``ratio_parsed``).

The paths are those of this machine's packages, their digests made up: of ten images' packages seven
in ten are the same, every host runs its files in an order of its own, and forty that are its own.
"""

from __future__ import annotations

import argparse
import base64
import functools
import gc
import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: E402

from e2etrust_core.appraisal.appraise import appraise_host  # noqa: E402
from e2etrust_core.appraisal.ima_allowlist import Allowlist, read_allowlist  # noqa: E402
from e2etrust_core.appraisal.model import HostPolicy  # noqa: E402
from e2etrust_core.appraisal.policy import parse_policy, selection_of  # noqa: E402
from e2etrust_core.appraisal.reference import Appraisal, HostReference, ImaSeen  # noqa: E402
from e2etrust_core.evidence.ima_signature import Keyring  # noqa: E402
from e2etrust_core.evidence.model import HostEvidence, Quote  # noqa: E402
from e2etrust_core.launch import attest_binding  # noqa: E402
from e2etrust_core.suites import ECC_P256_SHA256  # noqa: E402
from tests.unit.core.ima_writer import body, line  # noqa: E402
from tests.unit.core.software_tpm import SoftwareTpm  # noqa: E402

ENTRIES, NEW = 5_000, 50
HOSTS, IMAGES, OWN, EXCLUDED = 1_000, 10, 40, 10
BUILDS = "/var/tmp/build-"
ROUNDS = 15
NONCE = hashlib.sha256(b"nonce").digest()
GOALS = {"cold": 5.0, "fleet": 12.0, "incremental": 100.0}


@dataclass(frozen=True)
class Figure:
    """Times in milliseconds of one appraisal; ``ratio`` is Keylime's time over ours."""

    name: str
    ratio: float
    ratio_parsed: float
    goal: float
    holds: bool
    ours_ms: float
    keylime_ms: float
    keylime_as_it_runs_ms: float


@dataclass(frozen=True)
class File:
    path: str
    digest: bytes

    @functools.cached_property
    def body(self) -> bytes:
        return body(b"sha256:\0" + self.digest, self.path.encode() + b"\0")

    @functools.cached_property
    def entry(self) -> bytes:
        return line("ima-ng", self.body)

    @functools.cached_property
    def extended(self) -> bytes:
        return hashlib.sha256(self.body).digest()

    @functools.cached_property
    def text(self) -> str:
        template = hashlib.sha1(self.body).hexdigest()  # noqa: S324 - what the kernel writes
        return f"10 {template} ima-ng sha256:{self.digest.hex()} {self.path}"


def a_file(path: str, release: object) -> File:
    return File(path, hashlib.sha256(f"{path} {release}".encode()).digest())


@dataclass
class Fleet:
    """The files of ten images, and of each host its list."""

    images: list[list[File]] = field(default_factory=list)

    def __post_init__(self) -> None:
        paths = _paths()
        for image in range(IMAGES):
            chance = random.Random(image)
            chosen = chance.sample(paths, int(len(paths) * 0.9))[: ENTRIES - 1]
            common = [
                a_file(path, "common" if _percent(path) < 70 else f"image {image}")
                for path in sorted(chosen)
            ]
            self.images.append(common)

    def files_of(self, host: int) -> list[File]:
        """A host's files in the order it ran them."""
        chance = random.Random(1_000_000 + host)
        files = list(self.images[host % IMAGES][: ENTRIES - 1 - OWN - EXCLUDED])
        for place in range(0, len(files), 20):  # services start side by side
            part = files[place : place + 20]
            chance.shuffle(part)
            files[place : place + 20] = part
        files += own_files(host)
        files += [a_file(f"{BUILDS}{n}", host) for n in range(EXCLUDED)]
        return files

    def allowed(self) -> Iterator[File]:
        """All that the policy accepts: the images, the hosts' own files, and what nobody runs."""
        seen = set()
        for one in [*sum(self.images, []), *(f for h in range(HOSTS) for f in own_files(h))]:
            if one not in seen:
                seen.add(one)
                yield one


def own_files(host: int) -> list[File]:
    return [a_file(f"/opt/site/bin/tool-{host}-{n}", host) for n in range(OWN)]


def _percent(path: str) -> int:
    return hashlib.sha256(path.encode()).digest()[0] * 100 // 256


def _paths() -> list[str]:
    """Paths of programs and libraries of this machine's packages, at least as many as are due."""
    found: set[str] = set()
    for listed in sorted(Path("/var/lib/dpkg/info").glob("*.list")):
        for path in listed.read_text(errors="replace").splitlines():
            if path.startswith(("/usr/bin/", "/usr/sbin/", "/usr/lib/")) and path.isascii():
                found.add(path.replace(" ", "_"))
    wanted = sorted(found)
    wanted += [f"/usr/lib/filler/file-{number}.so" for number in range(len(wanted), 2 * ENTRIES)]
    random.Random(0).shuffle(wanted)
    return wanted[: 2 * ENTRIES]


@dataclass
class Task:
    """One host's evidence in both sides' forms; ``start`` is PCR 10 before the first entry."""

    tpm: SoftwareTpm
    quote: Quote
    binary: bytes
    text: str
    start: bytes | None
    before: int


class Machine:
    """A TPM with what booted; what a host ran is extended for every quote anew."""

    def __init__(self) -> None:
        self.tpm = SoftwareTpm()
        values = self.tpm.pcrs["sha256"]
        digest = hashlib.sha256(b"".join(values[n] for n in range(10))).digest()
        self.aggregate = File("boot_aggregate", digest)

    def policy(self, files: list[File]) -> HostPolicy:
        allowed = read_allowlist(f"{one.digest.hex()}  {one.path}\n".encode() for one in files)
        value = self.tpm.pcrs["sha256"][7].hex()
        text = (
            f"name: bench\nhosts: ['*']\npcrs: {{sha256: {{7: ['{value}']}}}}\n"
            "ima: {allow: [files], exclude: ['/var/tmp/*']}\n"
        )
        return parse_policy(text, OneList(allowed))

    def task(self, policy: HostPolicy, files: list[File], before: int = 0) -> Task:
        """Evidence over *files* by a TPM with keys of its own; *before* of them are known."""
        files = [self.aggregate, *files]
        tpm = SoftwareTpm(pcrs=self.tpm.pcrs)
        value = start = bytes(32)
        for number, one in enumerate(files):
            if number == before:
                start = value
            value = hashlib.sha256(value + one.extended).digest()
        self.tpm.pcrs["sha256"][10] = value
        quote = tpm.quote(attest_binding(NONCE, []), selection_of(policy))
        new = files[before:]
        return Task(
            tpm,
            quote,
            b"".join([one.entry for one in new]),
            "\n".join([one.text for one in new]),
            start if before else None,
            before,
        )


@dataclass(frozen=True)
class OneList:
    allowed: Allowlist

    def allowlist(self, name: str) -> Allowlist:  # noqa: ARG002
        return self.allowed

    def keyring(self, name: str) -> Keyring:  # noqa: ARG002
        return Keyring()


class Ours:
    def __init__(self, policy: HostPolicy) -> None:
        self.policy = policy
        self._binding = attest_binding(NONCE, [])
        self._selection = selection_of(policy)

    def forget(self) -> None:
        """What was learnt from hosts before counts for nothing."""
        assert self.policy.ima is not None
        self.policy.ima.known.clear()

    def seen(self, task: Task, offset: int) -> ImaSeen:
        assert task.start is not None
        return ImaSeen(
            self.policy.fingerprint,
            task.tpm.reset_count,
            task.start,
            offset,
            task.before,
            met=["boot_aggregate"],
        )

    def appraise(self, task: Task, seen: ImaSeen | None = None) -> float:
        """Return the seconds of CPU it took.  Raises where the host is not trusted."""
        reference = HostReference(
            "host", task.tpm.ek_public, task.tpm.ak_public, ECC_P256_SHA256, None, seen
        )
        offset = seen.offset if seen is not None else 0
        evidence = HostEvidence(task.quote, ima=task.binary, ima_from=offset)
        gc.collect()
        began = time.process_time()
        found = self._appraise(reference, evidence)
        seconds = time.process_time() - began
        if not found.verdict.trusted:
            raise SystemExit(f"appraisal: ours does not trust: {found.verdict.failed}")
        return seconds

    def refuses(self, task: Task) -> bool:
        reference = HostReference(
            "host", task.tpm.ek_public, task.tpm.ak_public, ECC_P256_SHA256, None, None
        )
        found = self._appraise(reference, HostEvidence(task.quote, ima=task.binary))
        return not found.verdict.trusted

    def _appraise(self, reference: HostReference, evidence: HostEvidence) -> Appraisal:
        return appraise_host(
            reference, self.policy, evidence, self._binding, self._selection, frozenset()
        )


class Keylime:
    """The other process."""

    def __init__(self, machine: Machine, cpu: int) -> None:
        subprocess.run([HERE / "keylime/prepare"], check=True)
        self._aggregate = machine.aggregate.digest.hex()
        self._process = subprocess.Popen(
            [HERE / "keylime/.venv/bin/python", HERE / "keylime/side.py", str(cpu)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def policy(self, files: list[File]) -> None:
        digests: dict[str, list[str]] = {}
        for one in files:
            digests.setdefault(one.path, []).append(one.digest.hex())
        self._send({"digests": digests, "excludes": ["/var/tmp/.*"]})  # noqa: S108

    def ask(self, task: Task, *, as_it_runs: bool) -> dict[str, Any]:
        self._send(
            {
                "as_it_runs": as_it_runs,
                "lines": task.text,
                "start": task.start.hex() if task.start is not None else "",
                "entries": task.before,
                "aggregate": self._aggregate,
                "nonce": _base64(attest_binding(NONCE, [])),
                "ak": _base64(pem(task.tpm)),
                "signature": _base64(task.quote.signature),
                "quote": _base64(task.quote.attest),
                "pcrs": _base64(pcr_blob(task.quote)),
            }
        )
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def appraise(self, task: Task, *, as_it_runs: bool = False) -> float:
        told = self.ask(task, as_it_runs=as_it_runs)
        if not told["trusted"]:
            raise SystemExit("appraisal: Keylime does not trust what it should")
        return float(told["seconds"])

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)

    def _send(self, value: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(value) + "\n")
        self._process.stdin.flush()


def pem(tpm: SoftwareTpm) -> bytes:
    return tpm.ak.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def pcr_blob(quote: Quote) -> bytes:
    """The PCR values as tpm2_quote writes them, which Keylime reads: C structures."""
    values = sorted(quote.pcrs["sha256"].items())
    bitmap = sum(1 << index for index, _ in values)
    slot = (0x000B).to_bytes(2, "little") + b"\x03" + bitmap.to_bytes(4, "little") + b"\0"
    groups = [values[at : at + 8] for at in range(0, len(values), 8)]
    blob = (1).to_bytes(4, "little") + slot.ljust(16 * 8, b"\0") + len(groups).to_bytes(4, "little")
    for group in groups:
        blob += len(group).to_bytes(4, "little")
        digests = [(32).to_bytes(2, "little") + value.ljust(64, b"\0") for _, value in group]
        blob += b"".join(digests).ljust(8 * 66, b"\0")
    return blob


def measure_cold(machine: Machine, fleet: Fleet, ours: Ours, keylime: Keylime) -> Figure:
    task = machine.task(ours.policy, fleet.files_of(0))
    rounds = []
    for _ in range(ROUNDS):
        ours.forget()
        one = ours.appraise(task)
        rounds.append((one, keylime.appraise(task), keylime.appraise(task, as_it_runs=True)))
    return _figure("cold", rounds)


def measure_fleet(machine: Machine, fleet: Fleet, ours: Ours, keylime: Keylime) -> Figure:
    """The mean host, first to last: what is known at the end had to be learnt on the way."""
    own, other, running = [], [], []
    ours.forget()
    for host in range(HOSTS):
        task = machine.task(ours.policy, fleet.files_of(host))
        own.append(ours.appraise(task))
        if host % 10 == 0:
            other.append(keylime.appraise(task))
            running.append(keylime.appraise(task, as_it_runs=True))
    means = tuple(map(statistics.fmean, (own, other, running)))
    return _figure("fleet", [means])


def measure_incremental(machine: Machine, fleet: Fleet, ours: Ours, keylime: Keylime) -> Figure:
    files = fleet.files_of(0)
    task = machine.task(ours.policy, files, len(files) + 1 - NEW)
    seen = ours.seen(task, 1_000_000)
    rounds = []
    for _ in range(ROUNDS):
        ours.forget()
        one = ours.appraise(task, seen)
        rounds.append((one, keylime.appraise(task), keylime.appraise(task, as_it_runs=True)))
    return _figure("incremental", rounds)


def _figure(name: str, rounds: list[tuple[float, ...]]) -> Figure:
    parsed, ratio = (statistics.median(one[n] / one[0] for one in rounds) for n in (1, 2))
    milliseconds = [round(1000 * statistics.median(side), 3) for side in zip(*rounds, strict=True)]
    goal = GOALS[name]
    return Figure(name, round(ratio, 2), round(parsed, 2), goal, ratio >= goal, *milliseconds)


def check_both_refuse(machine: Machine, fleet: Fleet, ours: Ours, keylime: Keylime) -> None:
    """What is timed is a check: a file nobody allowed is refused by both."""
    task = machine.task(ours.policy, [*fleet.files_of(0), a_file("/usr/bin/evil", "none")])
    if not ours.refuses(task) or keylime.ask(task, as_it_runs=False)["trusted"]:
        raise SystemExit("appraisal: a file that nobody allowed was accepted")


def measure(cpu: int) -> tuple[list[Figure], float]:
    """Return the figures, and the bytes that an allowed file takes."""
    machine, fleet = Machine(), Fleet()
    keylime = Keylime(machine, cpu)
    try:
        own = [one for one in fleet.files_of(0) if not one.path.startswith(BUILDS)]
        keylime.policy(own)
        ours = Ours(machine.policy(own))
        check_both_refuse(machine, fleet, ours, keylime)
        figures = [measure_cold(machine, fleet, ours, keylime)]
        allowed = list(fleet.allowed())
        keylime.policy(allowed)
        ours = Ours(machine.policy(allowed))
        check_both_refuse(machine, fleet, ours, keylime)
        figures.append(measure_fleet(machine, fleet, ours, keylime))
        figures.append(measure_incremental(machine, fleet, ours, keylime))
    finally:
        keylime.close()
    assert ours.policy.ima is not None
    compiled = ours.policy.ima.allowed[0]
    return figures, round(compiled.size / len(compiled), 1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    arguments = parser.parse_args()
    cpu = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpu})
    figures, each = measure(cpu)
    for one in figures:
        parsed = f"with a parsed policy {one.keylime_ms:.3f} ms, {one.ratio_parsed:.1f}x"
        print(
            f"{one.name:12} {one.ratio:7.1f}x (goal {one.goal:.0f}x): ours {one.ours_ms:.3f} ms, "
            f"Keylime as it runs {one.keylime_as_it_runs_ms:.3f} ms ({parsed})"
        )
    print(f"allowlist: {each} bytes a file")
    holds = all(one.holds for one in figures)
    if arguments.json:
        worst = min(figures, key=lambda one: one.ratio / one.goal)
        told = {
            "name": "appraisal",
            # How many times its goal the worst figure is.
            "ratio": round(worst.ratio / worst.goal, 3),
            "goal": 1.0,
            "holds": holds,
            "allowlist_bytes_per_file": each,
            "figures": [asdict(one) for one in figures],
        }
        print(json.dumps(told))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
