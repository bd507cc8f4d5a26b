# SPDX-License-Identifier: Apache-2.0
"""What belongs on a compute host, put there and taken away."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from e2etrust_core.signed_answer import VerifierKeysError, read_key_set
from e2etrust_nova.errors import HostSetupError
from e2etrust_nova.host_setup import agent_conf, templates
from e2etrust_nova.host_setup.tree import Tree

HOOK = "/etc/libvirt/hooks/qemu"
#: Run after that of another product, in the order of their names (libvirt 6.5 and later); each
#: of them can refuse a start.
HOOK_BESIDE = "/etc/libvirt/hooks/qemu.d/50-e2etrust"
AGENT_CONF = "/etc/e2etrust/agent.conf"
VERIFIER_KEYS = "/etc/e2etrust/verifier-keys.json"
UNIT = "/etc/systemd/system/e2etrust-agent.service"
LOGROTATE = "/etc/logrotate.d/e2etrust"
DIRECTORIES = {"/etc/e2etrust": 0o755, "/var/log/e2etrust": 0o750}

Outcome = Literal["created", "updated", "unchanged", "kept", "removed", "absent"]


@dataclass(frozen=True, slots=True)
class Done:
    """What was done about one path (what would be, in a dry run)."""

    path: str
    outcome: Outcome
    note: str = ""


def install(
    tree: Tree, commands: Path, nova_conf: Path, verifier_keys: Path | None = None
) -> list[Done]:
    """Put everything in place; what is there already stays as it is.

    :param commands: the directory of this software's commands.
    :param verifier_keys: the verifier's public keys (a JWK set), to be known by from now on.
    :raises HostSetupError: something of somebody else is in the way; nothing after it was done.
    """
    if not (commands / templates.HOOK_COMMAND).is_file():
        raise HostSetupError(
            f"{commands} has no {templates.HOOK_COMMAND}",
            remedy="pip install 'e2etrust[host]' in the environment that this command is run from",
        )
    done = [_directory(tree, name, mode) for name, mode in DIRECTORIES.items()]
    if verifier_keys is not None:
        done.append(_file(tree, VERIFIER_KEYS, _key_set(verifier_keys), 0o644))
    pinned = verifier_keys is not None or tree.read(VERIFIER_KEYS) is not None
    done.append(_configuration(tree, nova_conf, VERIFIER_KEYS if pinned else None))
    done.append(_file(tree, UNIT, templates.unit(commands), 0o644))
    done.append(_file(tree, LOGROTATE, templates.logrotate(), 0o644))
    # Last: libvirt must not find a gate before there is anything behind it.
    done.append(_hook(tree, templates.hook(commands)))
    return done


def undo(tree: Tree) -> list[Done]:
    """Take away what this command put there and nobody changed since."""
    done = []
    for name in reversed(list(tree.manifest().files)):
        if tree.read(name) is None:
            done.append(Done(name, "absent", "somebody else removed it"))
            tree.remove(name)
        elif tree.ours(name):
            tree.remove(name)
            done.append(Done(name, "removed"))
        else:
            done.append(Done(name, "kept", "it was changed since it was written"))
    done += [Done(name, "removed") for name in tree.remove_directories()]
    tree.forget()
    return done


def hook_in_place(tree: Tree) -> str | None:
    """Return where the hook is, None where it is nowhere."""
    return next((name for name in (HOOK, HOOK_BESIDE) if tree.ours(name)), None)


def _directory(tree: Tree, name: str, mode: int) -> Done:
    return Done(name, "created" if tree.make_directory(name, mode) else "unchanged")


def _configuration(tree: Tree, nova_conf: Path, pinned: str | None) -> Done:
    there = tree.read(AGENT_CONF)
    if there is not None:
        told = "" if pinned is None or pinned.encode() in there else "; set [agent] verifier_keys"
        return Done(AGENT_CONF, "unchanged", f"it is the operator's{told}")
    content, whole = agent_conf.first(nova_conf, pinned)
    tree.write(AGENT_CONF, content, 0o600)
    note = "" if whole else f"set transport_url in it: {nova_conf} names none"
    return Done(AGENT_CONF, "created", note)


def _key_set(path: Path) -> bytes:
    try:
        read_key_set(path)
        return path.read_bytes()
    except (VerifierKeysError, OSError) as exc:
        raise HostSetupError(
            str(getattr(exc, "reason", exc)), remedy=VerifierKeysError.remedy
        ) from None


def _hook(tree: Tree, content: bytes) -> Done:
    there = tree.read(HOOK)
    if there is None or there == content or tree.ours(HOOK):
        return _file(tree, HOOK, content, 0o755)
    done = _file(tree, HOOK_BESIDE, content, 0o755)
    return Done(done.path, done.outcome, f"{HOOK} is another product's: it stays, and runs first")


def _file(tree: Tree, name: str, content: bytes, mode: int) -> Done:
    there = tree.read(name)
    if there == content and tree.mode(name) == mode and tree.ours(name):
        return Done(name, "unchanged")
    if there is not None and there != content and not tree.ours(name):
        raise HostSetupError(
            f"{name} is there already and is not this command's",
            remedy="look at it; move it away if it may go, and run again",
        )
    tree.write(name, content, mode)
    return Done(name, "created" if there is None else "updated")
