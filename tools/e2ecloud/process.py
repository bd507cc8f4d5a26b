# SPDX-License-Identifier: Apache-2.0
"""Background processes in a namespace: started detached, found again by their record."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from e2ecloud import namespace as ns
from e2ecloud.errors import CloudError
from e2ecloud.layout import Cloud

_DETACH = 'setsid "$@" </dev/null >>"$E2ECLOUD_LOG" 2>&1 & echo $!'
# Every process of a cloud carries this variable with the cloud's directory, so that teardown finds
# even those that a killed start-up left no record of.
MARKER = "E2ECLOUD_ROOT"
BASE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Program:
    """What to run: argument vector, additions to the environment, working directory and log."""

    name: str
    argv: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path = Path("/")


def clean_environment(additions: Mapping[str, str]) -> dict[str, str]:
    """A small, known environment: nothing of the caller's shell reaches a service."""
    known = {"PATH": BASE_PATH, "HOME": "/root", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
    known[MARKER] = str(Cloud.of_checkout().root)
    return known | dict(additions)


def start(space: ns.Namespace, program: Program, record: Path) -> int:
    """Start ``program`` in ``space`` unless its record says that it runs; its PID inside."""
    running = pid_of(space, record)
    if running is not None:
        return running
    program.log.parent.mkdir(parents=True, exist_ok=True)
    result = subprocess.run(
        [*ns.enter_command(space, program.directory), "sh", "-c", _DETACH, "sh", *program.argv],
        env=clean_environment({**program.environment, "E2ECLOUD_LOG": str(program.log)}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode or not result.stdout.strip().isdigit():
        raise CloudError(f"{program.name} could not be started: {result.stderr.strip()}")
    pid = int(result.stdout)
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(f"{pid} {_start_time(space, pid)}")
    return pid


def pid_of(space: ns.Namespace, record: Path) -> int | None:
    """The PID inside ``space`` of the process that ``record`` names, or None when it is gone."""
    outside = _outside(space, record)
    return None if outside is None else outside[0]


def _outside(space: ns.Namespace, record: Path) -> tuple[int, int] | None:
    try:
        pid_text, started = record.read_text().split()
    except (FileNotFoundError, ValueError):
        return None
    outside = ns.members(space).get(int(pid_text))
    if outside is None or _ticks(outside) != started:
        return None
    return int(pid_text), outside


def _start_time(space: ns.Namespace, pid: int) -> str:
    outside = ns.members(space).get(pid)
    return _ticks(outside) if outside is not None else "gone"


def _ticks(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return "gone"


def stop(space: ns.Namespace, record: Path, how: signal.Signals, grace: float = 10.0) -> bool:
    """Signal the process group of the recorded process, SIGKILL after ``grace`` seconds.

    :returns: whether it was running.
    """
    found = _outside(space, record)
    if found is None:
        record.unlink(missing_ok=True)
        return False
    _signal_group(found[1], how)
    deadline = time.monotonic() + grace
    while _outside(space, record) is not None:
        if time.monotonic() > deadline:
            _signal_group(found[1], signal.SIGKILL)
            deadline = time.monotonic() + grace
        time.sleep(0.05)
    record.unlink(missing_ok=True)
    return True


def _signal_group(pid: int, how: signal.Signals) -> None:
    try:
        os.killpg(os.getpgid(pid), how)
    except ProcessLookupError:
        pass


def wait_until(
    condition: Callable[[], bool],
    what: str,
    *,
    timeout: float,
    log: Path | None,
    interval: float = 0.1,
) -> None:
    """Poll ``condition()`` until it is true.

    :raises CloudError: after ``timeout`` seconds, with the tail of ``log``.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise CloudError(f"{what} did not come up in {timeout:.0f} s", log=log)
        time.sleep(interval)


def run(
    space: ns.Namespace,
    argv: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    log: Path | None = None,
    directory: Path = Path("/"),
    stdin: str | None = None,
    timeout: float = 300.0,
) -> str:
    """Run a program to its end in ``space``; its standard output.

    :raises CloudError: when it fails; its output is in ``log`` when one is given.
    """
    result = subprocess.run(
        [*ns.enter_command(space, directory), *argv],
        env=clean_environment(environment or {}),
        input=stdin or "",
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as file:
            file.write(result.stdout + result.stderr)
    if result.returncode:
        tail = "" if log is not None else ": " + result.stderr.strip()[-800:]
        raise CloudError(f"{Path(argv[0]).name} exited {result.returncode}{tail}", log=log)
    return result.stdout


def run_here(argv: Sequence[str], *, log: Path) -> None:
    """Run a program outside of any namespace; its output goes to ``log``.

    :raises CloudError: when it fails.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        result = subprocess.run(
            argv,
            env=clean_environment({}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
        )
    if result.returncode:
        raise CloudError(f"{Path(argv[0]).name} exited {result.returncode}", log=log)
