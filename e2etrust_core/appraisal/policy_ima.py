# SPDX-License-Identifier: Apache-2.0
"""The ``ima`` section of a policy, read.

Fields: ``bank`` and ``aggregate_bank``; ``allow`` (files of sha256sum(1) lines beside the policy),
``signed_by`` (PEM files beside it), ``exclude`` (patterns for whole paths), ``buffers`` (rules with
``name``, ``digests``, ``text``, ``like``, ``anything``, ``required``, ``verifies``), ``violations``
(``refuse`` or ``report``).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Protocol

from e2etrust_core.appraisal.ima_allowlist import Allowlist, read_allowlist
from e2etrust_core.appraisal.ima_rules import BufferRule, ImaRules
from e2etrust_core.errors import PolicyError
from e2etrust_core.evidence.device_mapper import DM_BUFFERS
from e2etrust_core.evidence.ima_signature import Keyring, read_keyring
from e2etrust_core.suites import HASHES

_FIELDS = {"bank", "aggregate_bank", "allow", "signed_by", "exclude", "buffers", "violations"}
_BUFFER_FIELDS = {"name", "digests", "text", "like", "anything", "required", "verifies"}
FILE_NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
_FILE = re.compile(FILE_NAME)
#: What the names of the kernel's keyrings begin with: no process can make a keyring of that name
#: (security/keys/keyctl.c), or put into one what the kernel does not accept.
KERNEL_KEYRING = "."
_MAX_LISTED = 1024
_MAX_PEM = 1024 * 1024


class PolicyFiles(Protocol):
    """Files that a policy names."""

    def allowlist(self, name: str) -> Allowlist:
        """:raises PolicyError: it is not there, or not one."""

    def keyring(self, name: str) -> Keyring:
        """:raises PolicyError: it is not there, or not one."""


FileStamp = tuple[int, ...]


def stamp_of(path: Path | os.DirEntry[str]) -> FileStamp:
    """Return what tells a file from what stood there before.

    The time of its contents can be set, and tools that make every build alike set it to one value;
    the time of its inode cannot.

    :raises OSError: it is not there.
    """
    found = path.stat()
    return (found.st_dev, found.st_ino, found.st_ctime_ns, found.st_mtime_ns, found.st_size)


class FilesBeside:
    """The files of one directory; an allowlist is read again only when it changes."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._read: dict[str, tuple[FileStamp, Allowlist]] = {}
        self._asked: set[str] = set()

    def forget_unasked(self) -> None:
        """Forget allowlists that nobody asked for since the last time: each may be of millions."""
        self._read = {name: read for name, read in self._read.items() if name in self._asked}
        self._asked.clear()

    def allowlist(self, name: str) -> Allowlist:
        self._asked.add(name)
        path = self._directory / name
        try:
            stamp = stamp_of(path)
            if name not in self._read or self._read[name][0] != stamp:
                with path.open("rb") as lines:
                    self._read[name] = (stamp, read_allowlist(lines))
        except OSError as exc:
            raise PolicyError(f"{name} cannot be read: {exc.strerror}") from None
        except PolicyError as exc:
            raise PolicyError(f"{name}: {exc.reason}") from None
        return self._read[name][1]

    def keyring(self, name: str) -> Keyring:
        try:
            with (self._directory / name).open(encoding="ascii", errors="replace") as file:
                return read_keyring(file.read(_MAX_PEM))
        except OSError as exc:
            raise PolicyError(f"{name} cannot be read: {exc.strerror}") from None
        except PolicyError as exc:
            raise PolicyError(f"{name}: {exc.reason}") from None


def parse_ima(
    value: object, files: PolicyFiles | None, apart: frozenset[str] = frozenset()
) -> ImaRules:
    """Read the section.

    :param files: None where a policy can name no files.
    :param apart: names of measured buffers that another section of the policy judges.
    :raises PolicyError: a field that is unknown or wrong, or a section that accepts nothing.
    """
    section = _mapping(value, "ima", _FIELDS)
    bank = _bank(section.get("bank", "sha256"), "ima: bank")
    rules = ImaRules(
        bank=bank,
        aggregate_bank=_bank(section.get("aggregate_bank", bank), "ima: aggregate_bank"),
        allowed=tuple(_files(files).allowlist(name) for name in _names(section, "allow")),
        exclude=_texts(section.get("exclude", []), "ima: exclude"),
        keyring=_keyring(files, _names(section, "signed_by")),
        buffers=_buffers(section.get("buffers", [])),
        violations=_violations(section.get("violations", "refuse")),
        apart=apart,
    )
    twice = sorted(apart & {rule.name for rule in rules.buffers})
    if twice:
        judge = "device_mapper" if twice[0] in DM_BUFFERS else "mac"
        raise PolicyError(
            f"ima: buffers: {twice[0]} is judged by {judge}, which the policy has too"
        )
    if not (rules.allowed or rules.keyring or rules.buffers or apart):
        raise PolicyError("ima: nothing is accepted: give it allow, signed_by or buffers")
    return rules


def _files(files: PolicyFiles | None) -> PolicyFiles:
    if files is None:
        raise PolicyError("ima: allow and signed_by name files, and there is no folder of them")
    return files


def _keyring(files: PolicyFiles | None, names: list[str]) -> Keyring:
    keys: dict[bytes, list[Any]] = {}
    for name in names:
        for identifier, found in _files(files).keyring(name).keys.items():
            keys.setdefault(identifier, []).extend(found)
    return Keyring(keys)


def _buffers(value: object) -> tuple[BufferRule, ...]:
    if not isinstance(value, list) or len(value) > _MAX_LISTED:
        raise PolicyError(f"ima: buffers: a list of at most {_MAX_LISTED} rules")
    return tuple(_buffer(rule, f"ima: buffer rule {n}") for n, rule in enumerate(value, 1))


def _buffer(value: object, where: str) -> BufferRule:
    rule = _mapping(value, where, _BUFFER_FIELDS)
    name = rule.get("name")
    if not isinstance(name, str) or not 0 < len(name) <= 255:
        raise PolicyError(f"{where}: name: the measured buffer's, such as selinux-state")
    if rule.get("anything", True) is not True or not isinstance(rule.get("required", False), bool):
        raise PolicyError(f"{where}: anything: true, required: true or false, or leave them out")
    ways = {"digests", "text", "like"} & rule.keys()
    if bool(ways) is ("anything" in rule):
        raise PolicyError(f"{where}: digests, text or like, or anything: true")
    if rule.get("verifies", True) is not True:
        raise PolicyError(f"{where}: verifies: true, or leave it out")
    if "verifies" in rule and not name.startswith(KERNEL_KEYRING):
        raise PolicyError(f"{where}: verifies: only a keyring of the kernel's own, such as .ima")
    return BufferRule(
        name,
        _digests(rule.get("digests", []), f"{where}: digests"),
        frozenset(_texts(rule.get("text", []), f"{where}: text")),
        _texts(rule.get("like", []), f"{where}: like"),
        "anything" in rule,
        rule.get("required", False),
        "verifies" in rule,
    )


def _digests(value: object, where: str) -> frozenset[bytes]:
    digits = _texts(value, where)
    if not all(re.fullmatch(r"[0-9a-fA-F]{64}", one) for one in digits):
        raise PolicyError(f"{where}: every digest is 64 hexadecimal digits (SHA-256)")
    return frozenset(bytes.fromhex(one) for one in digits)


def _violations(value: object) -> bool:
    if value not in ("refuse", "report"):
        raise PolicyError("ima: violations: refuse or report")
    return value == "report"


def _bank(value: object, where: str) -> str:
    if not isinstance(value, str) or value not in HASHES:
        raise PolicyError(f"{where}: known are {', '.join(HASHES)}")
    return value


def _names(section: dict[str, Any], which: str) -> list[str]:
    names = _texts(section.get(which, []), f"ima: {which}")
    if not all(_FILE.fullmatch(name) for name in names):
        raise PolicyError(f"ima: {which}: names of files beside the policy, without a path")
    return list(names)


def _texts(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > _MAX_LISTED:
        raise PolicyError(f"{where}: a list of at most {_MAX_LISTED} texts")
    if not all(isinstance(one, str) and one for one in value):
        raise PolicyError(f"{where}: every entry is text")
    return tuple(value)


def _mapping(value: object, where: str, known: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise PolicyError(f"{where}: a mapping of fields")
    unknown = sorted(str(key) for key in value if key not in known)
    if unknown:
        raise PolicyError(f"{where}: unknown field {unknown[0]!r}")
    return value
