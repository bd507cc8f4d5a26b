# SPDX-License-Identifier: Apache-2.0
"""The command line of ``tools/cloud``."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from e2ecloud import accounts, api, hosts, lifecycle, process
from e2ecloud import namespace as ns
from e2ecloud.errors import CloudError
from e2ecloud.layout import HOSTS, Cloud, host_named
from e2ecloud.progress import Progress
from e2ecloud.status import Status


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0, or 1 with the reason on standard error."""
    arguments = _parser().parse_args(argv)
    cloud = Cloud.of_checkout()
    try:
        return int(arguments.command(cloud, arguments) or 0)
    except CloudError as error:
        print(f"tools/cloud: {error.explain()}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("tools/cloud: interrupted; tools/cloud down takes away what runs", file=sys.stderr)
        # Not sys.exit: it would wait for threads that wait for services.
        os._exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tools/cloud",
        description="A real single-node OpenStack with two compute hosts, each with its own TPM.",
        epilog="State is in .cloud/ of the checkout, or in $E2ETRUST_CLOUD. "
        "E2ETRUST_CLOUD_PLAIN=1 leaves E2ETrust's own services out.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: object, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(command=function)
        return added

    command("up", _up, "start everything; does nothing when it is up")
    command("down", _down, "end everything: no process, mount, namespace or socket is left")
    command("status", _status, "what runs").add_argument("--json", action="store_true")
    shell = command("shell", _shell, "a shell in the cloud's namespace, with credentials set")
    shell.add_argument("--as", dest="user", choices=list(accounts.PROJECTS), default="admin")
    logs = command("logs", _logs, "list the log files, or show one: SERVICE or HOST/SERVICE")
    logs.add_argument("service", nargs="?")
    logs.add_argument("--lines", type=int, default=100)
    inside = command("exec", _exec, "run a command in the cloud's namespace, with credentials set")
    inside.add_argument("--as", dest="user", choices=list(accounts.PROJECTS), default="admin")
    inside.add_argument("argv", nargs="+", metavar="CMD")
    command("seed", _seed, "make the flavors plain and trusted")
    service = command("service", _service, "stop, start or restart a service: NAME or HOST/NAME")
    service.add_argument("name")
    service.add_argument("action", choices=("stop", "start", "restart"))
    _host_commands(command("host", _host, "power and wires of a compute host"))
    return parser


def _host_commands(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("host", choices=[host.name for host in HOSTS])
    actions = parser.add_subparsers(required=True, dest="action", metavar="ACTION")
    actions.add_parser("power-cut", help="end it at once, its TPM as well")
    actions.add_parser("boot", help="power on: measured boot and all services")
    actions.add_parser("clock", help="resetCount, restartCount and clock of its TPM")
    inside = actions.add_parser("exec", help="run a command as root of the host")
    inside.add_argument("argv", nargs="+", metavar="CMD")
    extend = actions.add_parser("extend", help="extend a PCR with SHA-256 of DATA: tampering")
    extend.add_argument("pcr", type=int, metavar="PCR")
    extend.add_argument("data", metavar="DATA")


def _up(cloud: Cloud, _: argparse.Namespace) -> None:
    if not lifecycle.up(cloud, Progress()):
        print("the cloud is up already", file=sys.stderr)
    _print_status(api.status(cloud))


def _down(cloud: Cloud, _: argparse.Namespace) -> None:
    lifecycle.down(cloud)


def _status(cloud: Cloud, arguments: argparse.Namespace) -> int:
    found = api.status(cloud)
    if arguments.json:
        print(json.dumps(found.as_dict(), indent=1))
    else:
        _print_status(found)
    return 0 if found.healthy else 1


def _print_status(found: Status) -> None:
    if not found.services:
        print("the cloud is down")
        return
    for name, running in found.services.items():
        print(f"{name:28} {'running' if running else 'STOPPED'}")
    for host in found.hosts:
        power = "on" if host.power else "OFF"
        print(f"{host.name:28} power {power}, TPM {'on' if host.tpm else 'OFF'}")
        for name, running in host.services.items():
            print(f"  {name:26} {'running' if running else 'STOPPED'}")


def _shell(cloud: Cloud, arguments: argparse.Namespace) -> int:
    shell = os.environ.get("SHELL", "/bin/bash")
    prompt = {"PS1": f"(cloud {arguments.user}) \\w\\$ ", "TERM": os.environ.get("TERM", "dumb")}
    return _inside(cloud, arguments.user, [shell], prompt)


def _exec(cloud: Cloud, arguments: argparse.Namespace) -> int:
    return _inside(cloud, arguments.user, arguments.argv, {})


def _inside(cloud: Cloud, user: str, argv: Sequence[str], more: dict[str, str]) -> int:
    space = lifecycle.space_of(cloud)
    environment = api.environment(cloud, user) | more
    return _run(ns.enter_command(space, Path.cwd()) + list(argv), environment)


def _logs(cloud: Cloud, arguments: argparse.Namespace) -> None:
    if arguments.service is None:
        for path in sorted(cloud.log.rglob("*.log")):
            print(path)
        return
    path = api.log_path(cloud, arguments.service)
    if not path.exists():
        raise CloudError(f"{path} has not been written yet")
    print("\n".join(path.read_text(errors="replace").splitlines()[-arguments.lines :]))


def _seed(cloud: Cloud, _: argparse.Namespace) -> None:
    api.seed(cloud)


def _service(cloud: Cloud, arguments: argparse.Namespace) -> None:
    api.service(cloud, arguments.name, arguments.action)


def _host(cloud: Cloud, arguments: argparse.Namespace) -> int:
    name = arguments.host
    if arguments.action == "power-cut":
        api.power_cut(cloud, name)
    elif arguments.action == "boot":
        api.boot(cloud, name)
    elif arguments.action == "clock":
        print(api.tpm_clock(cloud, name))
    elif arguments.action == "extend":
        api.host_extend(cloud, name, arguments.pcr, arguments.data.encode())
    else:
        space = hosts.space_of(cloud, host_named(name))
        return _run(ns.enter_command(space) + arguments.argv, {})
    return 0


def _run(argv: Sequence[str], environment: dict[str, str]) -> int:
    return subprocess.run(argv, env=process.clean_environment(environment), check=False).returncode
