# SPDX-License-Identifier: Apache-2.0
"""``tools/demo``: bring the cloud up, tell the story, sum it up, take the cloud down."""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import e2eguest
from e2ecloud import Cloud, api, lifecycle
from e2ecloud.errors import CloudError
from e2ecloud.progress import Progress
from e2edemo import chapter as chapters_of
from e2edemo.chapter import Outcome
from e2edemo.chapters import CHAPTERS
from e2edemo.network import enter_network
from e2edemo.report import Teller
from e2edemo.stage import Stage


def main(argv: list[str] | None = None) -> int:
    """Return 0 only if every chapter came out as told."""
    args = _arguments(argv)
    teller = Teller()
    cloud = Cloud.of_checkout()
    started = time.monotonic()
    try:
        teller.line("bringing the cloud up (tools/cloud up)")
        api.up(cloud, Progress())
        up_seconds = round(time.monotonic() - started, 1)
        outcomes, figures = _tell(cloud, teller, args.chapter)
    except CloudError as exc:
        print(f"demo: {exc.explain()}", file=sys.stderr)
        return 1
    finally:
        if not args.keep:
            teller.line("taking the cloud down (--keep leaves it up)")
            api.down(cloud)
    figures |= {"cloud_up_seconds": up_seconds, "seconds": round(time.monotonic() - started, 1)}
    return _conclude(outcomes, figures, teller, args.json)


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/demo", description=__doc__)
    parser.add_argument("--json", metavar="FILE", type=Path, help="write what came to FILE too")
    parser.add_argument("--keep", action="store_true", help="leave the cloud up at the end")
    parser.add_argument(
        "--chapter",
        metavar="N",
        type=int,
        action="append",
        help="tell only these chapters (later ones stand on what earlier ones leave)",
    )
    return parser.parse_args(argv)


def _tell(
    cloud: Cloud, teller: Teller, only: list[int] | None
) -> tuple[list[Outcome], dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="demo-", dir=cloud.root) as work:
        stage = open_stage(cloud, teller, Path(work))
        outcomes = []
        for chapter in CHAPTERS:
            if only and chapter.number not in only:
                continue
            teller.chapter(chapter)
            outcome = chapters_of.run(chapter, stage)
            teller.outcome(outcome)
            outcomes.append(outcome)
        return outcomes, {"memory_mib": _memory_mib()}


def open_stage(cloud: Cloud, teller: Teller, work: Path) -> Stage:
    """Join the cloud's network and return the stage, with flavors made.

    :raises CloudError: the cloud is not up.
    """
    api.seed(cloud)
    teller.line("guest kernel and programs (fetched once)")
    e2eguest.prepare(cloud.cache)  # from the machine's network, which the next line leaves
    enter_network(lifecycle.space_of(cloud).init_pid)
    return Stage(cloud, teller, work)


def _memory_mib() -> int:
    """Memory in use on the machine now, in MiB: the cloud is most of it."""
    fields = dict(
        line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines() if ":" in line
    )
    total, available = (int(fields[k].split()[0]) for k in ("MemTotal", "MemAvailable"))
    return (total - available) // 1024


def _conclude(
    outcomes: list[Outcome], figures: dict[str, Any], teller: Teller, path: Path | None
) -> int:
    ok = bool(outcomes) and all(o.as_told for o in outcomes)
    teller.table(outcomes)
    print(
        f"\ncloud up in {figures['cloud_up_seconds']} s, all in {figures['seconds']} s, "
        f"{figures['memory_mib']} MiB of memory in use at the end, "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB in the demo itself"
    )
    if path is not None:
        steps = [o.as_dict() for o in outcomes]
        path.write_text(json.dumps({"ok": ok, "steps": steps, "figures": figures}, indent=1) + "\n")
    if not ok:
        print("demo: not everything came out as told: see the lines marked !", file=sys.stderr)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
