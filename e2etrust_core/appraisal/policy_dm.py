# SPDX-License-Identifier: Apache-2.0
"""The ``device_mapper`` section of a policy, read.

A list of rules with ``name`` and ``uuid`` (patterns), and ``targets`` (types), ``root_digests`` (of
dm-verity), ``attributes``, or ``anything: true``; ``required`` where such a device must have become
active (``true``), or be it still (``now``).
"""

from __future__ import annotations

import re
from typing import Any

from e2etrust_core.appraisal.dm_rules import DmRule
from e2etrust_core.errors import PolicyError

#: A hash of dm-verity, from SHA-1 to SHA-512; of SHA-1 none is taken.
ROOT_DIGEST = "[0-9a-fA-F]{64}|[0-9a-fA-F]{96}|[0-9a-fA-F]{128}"
TARGET = "[a-z][a-z0-9_-]{0,31}"
ATTRIBUTE = "[a-z][a-z0-9_]{0,63}"
NOW = "now"
MAX_RULES = 256
_MAX_LISTED = 1024
_FIELDS = {"name", "uuid", "targets", "root_digests", "attributes", "anything", "required"}
_VERITY = frozenset({"verity"})


def parse_dm(value: object) -> tuple[DmRule, ...]:
    """Read the section.

    :raises PolicyError: a field that is missing, unknown or wrong.
    """
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_RULES:
        raise PolicyError(f"device_mapper: a list of 1 to {MAX_RULES} rules")
    return tuple(_rule(rule, f"device_mapper: rule {n}") for n, rule in enumerate(value, 1))


def _rule(value: object, where: str) -> DmRule:
    if not isinstance(value, dict) or not value.keys() <= _FIELDS:
        raise PolicyError(f"{where}: a mapping with some of {', '.join(sorted(_FIELDS))}")
    if "name" not in value and "uuid" not in value:
        raise PolicyError(f"{where}: name or uuid: patterns of the devices that it is for")
    required = value.get("required", False)
    if value.get("anything", True) is not True or not (
        isinstance(required, bool) or required == NOW
    ):
        raise PolicyError(
            f"{where}: anything: true, required: true, now or false, or leave them out"
        )
    if ("anything" in value) is bool({"targets", "root_digests", "attributes"} & value.keys()):
        raise PolicyError(f"{where}: targets or root_digests, or anything: true")
    digests = _root_digests(value, where)
    return DmRule(
        name=_pattern(value.get("name", "*"), f"{where}: name"),
        uuid=_pattern(value.get("uuid", "*"), f"{where}: uuid"),
        targets=_targets(value, where),
        root_digests=digests,
        attributes=_attributes(value.get("attributes", {}), f"{where}: attributes"),
        anything="anything" in value,
        required=bool(required),
        now=required == NOW,
    )


def _pattern(value: object, where: str) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= 128:
        raise PolicyError(f"{where}: a pattern of 1 to 128 characters")
    return value


def _targets(rule: dict[str, Any], where: str) -> frozenset[str]:
    if "anything" in rule:
        return frozenset()
    found: Any = rule.get("targets", sorted(_VERITY) if "root_digests" in rule else None)
    if not _listed(found, TARGET):
        raise PolicyError(f"{where}: targets: types of targets, such as verity, crypt, linear")
    if "root_digests" in rule and set(found) != _VERITY:
        raise PolicyError(f"{where}: root_digests are of targets: [verity]")
    return frozenset(found)


def _root_digests(rule: dict[str, Any], where: str) -> frozenset[bytes]:
    if "root_digests" not in rule:
        return frozenset()
    if not _listed(rule["root_digests"], ROOT_DIGEST):
        raise PolicyError(f"{where}: root_digests: each of 64, 96 or 128 hexadecimal digits")
    return frozenset(map(bytes.fromhex, rule["root_digests"]))


def _listed(value: object, known: str) -> bool:
    return (
        isinstance(value, list)
        and 1 <= len(value) <= _MAX_LISTED
        and all(isinstance(one, str) and re.fullmatch(known, one) for one in value)
    )


def _attributes(value: object, where: str) -> dict[str, str]:
    if not isinstance(value, dict) or not all(
        isinstance(key, str) and re.fullmatch(ATTRIBUTE, key) and isinstance(due, str)
        for key, due in value.items()
    ):
        raise PolicyError(f"{where}: a mapping of the kernel's keys to texts")
    return dict(value)
