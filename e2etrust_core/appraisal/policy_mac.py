# SPDX-License-Identifier: Apache-2.0
"""The ``mac`` section of a policy, read.

Its one field is ``selinux``, with ``policies`` (digests of the loaded policy, or ``any``) and
``flags`` (a mapping of the state's flags to true or false).
"""

from __future__ import annotations

import re

from e2etrust_core.appraisal.mac_rules import MacRules
from e2etrust_core.errors import PolicyError

#: SHA-256, SHA-384 or SHA-512; a SHA-1 digest could be of two policies that were made for it.
POLICY_DIGEST = "[0-9a-fA-F]{64}|[0-9a-fA-F]{96}|[0-9a-fA-F]{128}"
FLAG = "[a-z][a-z0-9_]{0,63}"
ANY = "any"
_DIGEST = re.compile(POLICY_DIGEST)
_FLAG = re.compile(FLAG)
_MAX_LISTED = 1024
#: What every accepted state says anyway.
_GIVEN = {"initialized", "enforcing"}


def parse_mac(value: object) -> MacRules:
    """Read the section.

    :raises PolicyError: a field that is missing, unknown or wrong.
    """
    if not isinstance(value, dict) or value.keys() != {"selinux"}:
        raise PolicyError("mac: a mapping of selinux to what it must be, and of nothing else")
    selinux = value["selinux"]
    if not isinstance(selinux, dict) or not {"policies"} <= selinux.keys() <= {"policies", "flags"}:
        raise PolicyError("mac: selinux: a mapping with policies, and flags if there are any")
    return MacRules(_policies(selinux["policies"]), _flags(selinux.get("flags", {})))


def _policies(value: object) -> frozenset[bytes] | None:
    if value == ANY:
        return None
    where = "mac: selinux: policies"
    if not isinstance(value, list) or not 1 <= len(value) <= _MAX_LISTED:
        raise PolicyError(f"{where}: any, or a list of 1 to {_MAX_LISTED} digests")
    if not all(isinstance(one, str) and _DIGEST.fullmatch(one) for one in value):
        raise PolicyError(f"{where}: every digest is 64, 96 or 128 hexadecimal digits")
    return frozenset(bytes.fromhex(one) for one in value)


def _flags(value: object) -> dict[str, bool]:
    where = "mac: selinux: flags"
    if not isinstance(value, dict) or len(value) > _MAX_LISTED:
        raise PolicyError(f"{where}: a mapping of names to true or false")
    for name, due in value.items():
        if not isinstance(name, str) or not _FLAG.fullmatch(name) or not isinstance(due, bool):
            raise PolicyError(f"{where}: names such as checkreqprot, each true or false")
        if name in _GIVEN:
            raise PolicyError(f"{where}: {name} is asked of every state without being said")
    return dict(value)
