# SPDX-License-Identifier: Apache-2.0
"""Does a compute host have what attestation and the gate need?  Each check is a row."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from configparser import ConfigParser, Error
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from oslo_utils import strutils

from e2etrust_agent.client import AgentClient
from e2etrust_core.errors import E2ETrustError
from e2etrust_core.signed_answer import read_key_set
from e2etrust_nova.host_setup import items
from e2etrust_nova.host_setup.tree import Tree

Outcome = Literal["pass", "warn", "fail"]
_DAEMONS = ("libvirtd", "virtqemud")
_START_TIME, _FIRST_AFTER_NAME = 22, 3
_TPM = "/dev/tpmrm0"
_EVENT_LOG = "/sys/kernel/security/tpm0/binary_bios_measurements"
_IMA = "/sys/kernel/security/ima/binary_runtime_measurements"
#: Longer ones leave no room for a refusal's words in what Nova shows to a tenant.
_SHORT_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Check:
    """``warn`` is something that works, and will disappoint."""

    name: str
    outcome: Outcome
    reason: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where the checks look."""

    tree: Tree
    nova_conf: Path
    proc: Path = Path("/proc")
    devices: Path = Path("/")

    def exists(self, name: str) -> bool:
        return (self.devices / name.lstrip("/")).exists()


def run(machine: Machine) -> list[Check]:
    """Make every check; one that breaks is a failed check."""
    rows: list[Check] = []
    for name, check in _CHECKS:
        try:
            rows += check(machine)
        except (E2ETrustError, OSError) as exc:
            remedy = getattr(exc, "remedy", "")
            rows.append(Check(name, "fail", str(getattr(exc, "reason", exc)), remedy))
    return rows


def _hook(machine: Machine) -> Iterator[Check]:
    place = items.hook_in_place(machine.tree)
    if place is None:
        yield Check("hook", "fail", "libvirt's hook is not there", "e2etrust-host-setup")
        return
    mode = machine.tree.mode(place) or 0
    if not mode & stat.S_IXUSR:
        yield Check("hook", "fail", f"{place} is not executable", f"chmod 0755 {place}")
        return
    yield Check("hook", "pass", f"{place} is in place")


def _libvirt(machine: Machine) -> Iterator[Check]:
    found = list(_daemons(machine.proc))
    if not found:
        yield Check("libvirt", "warn", "neither libvirtd nor virtqemud runs", "start it")
        return
    place = items.hook_in_place(machine.tree)
    written = machine.tree.path(place).stat().st_mtime if place else 0.0
    for process in found:
        if place and _started(machine.proc, process) < written:
            reason = "was started before the hook was written: it may not know of it"
            yield Check("libvirt", "warn", reason, "systemctl restart libvirtd (guests live on)")
        else:
            yield Check("libvirt", "pass", "was started with the hook in place")
        path = _environment(process).get("PATH", "")
        if len(path) > len(_SHORT_PATH):
            reason = "has a long PATH: tenants will read little of why a start was refused"
            yield Check("libvirt-path", "warn", reason, f"start it with PATH={_SHORT_PATH}")


def _configuration(machine: Machine) -> Iterator[Check]:
    text = machine.tree.read(items.AGENT_CONF)
    if text is None:
        yield Check("agent-conf", "fail", f"{items.AGENT_CONF} is missing", "e2etrust-host-setup")
        return
    if (machine.tree.mode(items.AGENT_CONF) or 0) & stat.S_IROTH:
        remedy = f"chmod 0600 {items.AGENT_CONF}"
        yield Check("agent-conf", "fail", "every user can read the broker's password", remedy)
        return
    conf = _parsed(text)
    if not conf.defaults().get("transport_url"):
        remedy = f"set transport_url in {items.AGENT_CONF}"
        yield Check("agent-conf", "fail", "it names no message bus", remedy)
        return
    yield Check("agent-conf", "pass", "it is there, and its owner's only")


def _verifier_keys(machine: Machine) -> Iterator[Check]:
    conf = _parsed(machine.tree.read(items.AGENT_CONF) or b"")
    file = conf.get("agent", "verifier_keys", fallback="")
    if not file:
        reason = "whoever may write to the message bus can answer in the verifier's place"
        remedy = f"set [agent] verifier_keys in {items.AGENT_CONF}"
        yield Check("verifier-keys", "warn", reason, remedy)
        return
    read_key_set(machine.tree.path(file))
    yield Check("verifier-keys", "pass", "the verifier is known by its keys")


def _snapshots(machine: Machine) -> Iterator[Check]:
    option = "[workarounds] disable_libvirt_livesnapshot"
    remedy = f"set {option} = true in {machine.nova_conf} and restart nova-compute"
    try:
        conf = _parsed(machine.nova_conf.read_bytes())
    except FileNotFoundError:
        reason = f"{machine.nova_conf} is missing"
        yield Check("snapshots", "warn", reason, "name it: --nova-conf FILE")
        return
    off = conf.get("workarounds", "disable_libvirt_livesnapshot", fallback="")
    if strutils.bool_from_string(off):
        yield Check("snapshots", "pass", "none is taken of an open disk")
    else:
        yield Check("snapshots", "warn", "live snapshots of sealed disks are plain", remedy)


def _swap(machine: Machine) -> Iterator[Check]:
    """proc(5), swaps; dm-crypt's devices by their uuid in sysfs, zram lies in memory."""
    table = machine.proc / "swaps"
    lines = table.read_text().splitlines()[1:] if table.exists() else []
    used = [line.split()[0] for line in lines]
    plain = [path for path in used if not _is_closed_swap(machine, path)]
    if plain:
        reason = f"guests' memory may come to lie in plain on {', '.join(plain)}"
        yield Check("swap", "warn", reason, "swapoff, or encrypt it: crypttab(5)")
    else:
        yield Check("swap", "pass", "guests' memory is not swapped out in plain")


def _is_closed_swap(machine: Machine, path: str) -> bool:
    device = Path(path).name
    uuid = machine.devices / f"sys/class/block/{device}/dm/uuid"
    return device.startswith("zram") or (uuid.exists() and uuid.read_text().startswith("CRYPT-"))


def _evidence(machine: Machine) -> Iterator[Check]:
    conf = _parsed(machine.tree.read(items.AGENT_CONF) or b"")

    def option(name: str, usual: str) -> str:
        return conf.get("agent", name, fallback=usual)

    kind, _, device = option("tcti", f"device:{_TPM}").partition(":")
    if kind == "device" and not machine.exists(device or _TPM):
        remedy = "enable the TPM in the firmware's setup; see that the kernel has its driver"
        yield Check("tpm", "fail", f"{device or _TPM} is missing", remedy)
    elif kind == "device":
        yield Check("tpm", "pass", f"{device or _TPM} is there")
    for name, usual, check in (
        ("event_log", _EVENT_LOG, "event-log"),
        ("ima_list", _IMA, "ima-list"),
    ):
        path = option(name, usual)
        if path and not machine.exists(path):
            remedy = f"policies that ask for it will fail; if none does, set [agent] {name} empty"
            yield Check(check, "warn", f"{path} is missing", remedy)
        elif path:
            yield Check(check, "pass", f"{path} is there")


def _agent(_machine: Machine) -> Iterator[Check]:
    try:
        status = AgentClient().status()
    except E2ETrustError as exc:
        yield Check("agent", "fail", exc.reason, "systemctl start e2etrust-agent")
        return
    if status.lease is None:
        why = status.problem.reason if status.problem is not None else "it holds no lease"
        remedy = status.problem.remedy if status.problem is not None else ""
        yield Check("agent", "warn", why, remedy or "openstack attestation host show says why")
        return
    yield Check("agent", "pass", "it answers, and the host holds a lease")


_CHECKS: tuple[tuple[str, Callable[[Machine], Iterator[Check]]], ...] = (
    ("hook", _hook),
    ("libvirt", _libvirt),
    ("agent-conf", _configuration),
    ("verifier-keys", _verifier_keys),
    ("snapshots", _snapshots),
    ("swap", _swap),
    ("evidence", _evidence),
    ("agent", _agent),
)


def _parsed(text: bytes) -> ConfigParser:
    found = ConfigParser(interpolation=None, strict=False)
    try:
        found.read_string(text.decode("utf-8", "replace"))
    except Error:
        return ConfigParser(interpolation=None)
    return found


def _daemons(proc: Path) -> Iterator[Path]:
    for process in proc.glob("[0-9]*"):
        try:
            if (process / "comm").read_text().strip() in _DAEMONS:
                yield process
        except OSError:
            continue  # it ended meanwhile


def _started(proc: Path, process: Path) -> float:
    """When a process started, in seconds since the epoch (proc(5): btime, and field 22 of stat)."""
    booted = re.search(r"^btime (\d+)$", (proc / "stat").read_text(), re.MULTILINE)
    # The name in parentheses may hold anything.
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[_START_TIME - _FIRST_AFTER_NAME])
    return int(booted[1] if booted else 0) + ticks / os.sysconf("SC_CLK_TCK")


def _environment(process: Path) -> dict[str, str]:
    pairs = (process / "environ").read_bytes().split(b"\0")
    return dict(os.fsdecode(pair).partition("=")[::2] for pair in pairs if b"=" in pair)
