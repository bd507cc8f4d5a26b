# SPDX-License-Identifier: Apache-2.0
"""``e2etrust-host-setup``: makes this machine a compute host that is attested."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from e2etrust_nova.errors import HostSetupError
from e2etrust_nova.host_setup import checks, items
from e2etrust_nova.host_setup.checks import Check, Machine
from e2etrust_nova.host_setup.items import Done
from e2etrust_nova.host_setup.tree import Tree

_NEXT = """next:
  systemctl daemon-reload && systemctl enable --now e2etrust-agent
  systemctl restart libvirtd        # guests live on; it looks for hooks when it starts
  e2etrust-host-setup --check
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 where all is as it should be, 1 where something is not."""
    arguments = _parser().parse_args(argv)
    try:
        if arguments.root == Path("/") and os.geteuid() != 0:
            raise HostSetupError("only root sets up a host", remedy="sudo e2etrust-host-setup")
        tree = Tree(arguments.root, dry=arguments.dry_run)
        if arguments.check:
            rows = checks.run(Machine(tree, arguments.nova_conf))
            return _tell_checks(rows, as_json=arguments.json)
        if arguments.undo:
            done = items.undo(tree)
        else:
            done = items.install(
                tree, arguments.commands, arguments.nova_conf, arguments.verifier_keys
            )
    except HostSetupError as exc:
        _tell_refusal(exc, as_json=arguments.json)
        return 1
    except OSError as exc:
        refusal = HostSetupError(f"{exc.filename}: {exc.strerror}")
        _tell_refusal(refusal, as_json=arguments.json)
        return 1
    _tell_done(done, arguments)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="e2etrust-host-setup",
        description="Put libvirt's hook, the agent's unit and first configuration, and logrotate's"
        " file in place. Run again, it changes nothing. What belongs to others stays.",
        epilog="Exit status: 0 done, or every check passed; 1 refused, or a check failed.",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="only look whether the host is ready")
    what.add_argument("--undo", action="store_true", help="take away what was put there")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done")
    parser.add_argument("--json", action="store_true", help="write JSON")
    parser.add_argument(
        "--root", type=Path, default=Path("/"), metavar="DIR", help="work below DIR (packaging)"
    )
    parser.add_argument(
        "--commands",
        type=Path,
        default=Path(sys.prefix, "bin"),
        metavar="DIR",
        help="where this software's commands are (default: %(default)s)",
    )
    parser.add_argument(
        "--nova-conf",
        type=Path,
        default=Path("/etc/nova/nova.conf"),
        metavar="FILE",
        help="nova-compute's: the agent's first configuration takes host and message bus of it",
    )
    parser.add_argument(
        "--verifier-keys",
        type=Path,
        metavar="FILE",
        help="the verifier's public keys, as e2etrust-manage key jwks writes them: nobody else"
        " answers in its place",
    )
    return parser


def _tell_done(done: list[Done], arguments: argparse.Namespace) -> None:
    if arguments.json:
        print(json.dumps({"dry_run": arguments.dry_run, "done": [asdict(one) for one in done]}))
        return
    would = "would be " if arguments.dry_run else ""
    for one in done:
        acted = one.outcome in ("created", "updated", "removed")
        note = f"  ({one.note})" if one.note else ""
        print(f"{would if acted else ''}{one.outcome:9}  {one.path}{note}")
    if not (arguments.undo or arguments.dry_run):
        print(_NEXT, end="")


def _tell_checks(rows: list[Check], *, as_json: bool) -> int:
    ready = all(row.outcome != "fail" for row in rows)
    if as_json:
        print(json.dumps({"ready": ready, "checks": [asdict(row) for row in rows]}))
    else:
        for row in rows:
            print(f"{row.outcome:4}  {row.name:12}  {row.reason}")
            if row.outcome != "pass" and row.remedy:
                print(f"{'':20}what to do: {row.remedy}")
    return 0 if ready else 1


def _tell_refusal(exc: HostSetupError, *, as_json: bool) -> None:
    if as_json:
        told = {"code": exc.code, "reason": exc.reason, "remedy": exc.remedy}
        print(json.dumps({"error": told}))
    remedy = f"\nwhat to do: {exc.remedy}" if exc.remedy else ""
    print(f"e2etrust-host-setup: {exc}{remedy}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
