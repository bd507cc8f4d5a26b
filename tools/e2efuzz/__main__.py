# SPDX-License-Identifier: Apache-2.0
"""``tools/fuzz``: alter inputs of the readers and look for what is no error of ours."""

from __future__ import annotations

import argparse
import hashlib
import resource
import sys
import time
from pathlib import Path
from random import Random

from e2efuzz.engine import Outcome, fuzz
from e2efuzz.targets import TARGETS

_MEMORY = 4 * 1024**3


def main() -> int:
    arguments = _parser().parse_args()
    # A reader that allocates what an input claims shows as a MemoryError.
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    failed = False
    for name in arguments.target or TARGETS:
        outcome = _run(name, arguments)
        failed |= bool(outcome.findings)
        print(
            f"{name:10}  {outcome.runs} runs, {outcome.kept} inputs kept, {outcome.lines} lines"
            f" reached, slowest {outcome.slowest:.2f} s, {len(outcome.findings)} findings",
            flush=True,
        )
        for finding in outcome.findings:
            _keep(finding.data, finding.told, arguments.out)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tools/fuzz",
        description=__doc__,
        epilog="targets: " + "; ".join(f"{one.name} ({one.text})" for one in TARGETS.values()),
    )
    parser.add_argument("target", nargs="*", choices=[*TARGETS, []], help="all if none is named")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each target (60)")
    parser.add_argument("--seed", type=int, default=None, help="of the random numbers")
    parser.add_argument("--corpus", type=Path, help="folder of inputs to begin with")
    parser.add_argument("--out", type=Path, default=Path("fuzz-findings"), help="where findings go")
    return parser


def _run(name: str, arguments: argparse.Namespace) -> Outcome:
    ends = time.monotonic() + arguments.seconds
    seeds = []
    if arguments.corpus is not None:
        seeds = [path.read_bytes() for path in sorted(arguments.corpus.iterdir()) if path.is_file()]

    def going_on(outcome: Outcome) -> bool:
        return time.monotonic() < ends and len(outcome.findings) < 10

    return fuzz(TARGETS[name], going_on, Random(arguments.seed), seeds)


def _keep(data: bytes, told: str, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    path = out / hashlib.sha256(data).hexdigest()[:16]
    path.write_bytes(data)
    print(f"{path}:\n{told}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
