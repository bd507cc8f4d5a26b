# SPDX-License-Identifier: Apache-2.0
"""Measured states of mandatory access control held against a policy's rules.

Every measurement since the boot must be good, not only the last: IMA drops repeats, so whoever was
permissive once and enforces again looks at the end as if nothing had been.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from e2etrust_core.appraisal.errors import (
    AppraisalError,
    MacPermissive,
    MacPolicyRefused,
    MacStateRefused,
    MacUnmeasured,
)
from e2etrust_core.appraisal.ima_checks import SetApart, raise_first
from e2etrust_core.appraisal.mac_rules import MAC_BUFFERS, SELINUX_STATE, MacRules

#: security/selinux/ima.c, selinux_ima_collect_state.
_STATE = re.compile(rb"(?:[a-z][a-z0-9_]*=[01];)+")


def check_mac(rules: MacRules, measured: Sequence[SetApart], met: Collection[str]) -> None:
    """Hold every measured state and policy against *rules*.

    :param measured: buffers of :data:`.mac_rules.MAC_BUFFERS`, in the order of the list.
    :param met: which of them earlier parts of the list had, and were good.
    :raises MacPermissive, MacPolicyRefused, MacStateRefused: the first that is not accepted, and
        how many more.
    :raises MacUnmeasured: there is no state with a loaded policy, or no policy.
    """
    seen, faults = set(met), []
    for one in measured:
        try:
            if one.name != SELINUX_STATE:
                _check_policy(rules, one.buffer)
            elif not _has_policy(rules, one.buffer):
                continue
            seen.add(one.name)
        except AppraisalError as exc:
            exc.where = one.where
            faults.append(exc)
    if faults:
        raise_first(faults)
    missing = sorted(MAC_BUFFERS - seen)
    if missing:
        raise MacUnmeasured(f"{' and '.join(missing)}: not measured since the host booted")


def _check_policy(rules: MacRules, digest: bytes) -> None:
    if rules.policies is not None and digest not in rules.policies:
        raise MacPolicyRefused("SELinux loaded a policy, or set a boolean, that is not accepted")


def _has_policy(rules: MacRules, buffer: bytes) -> bool:
    """Whether a policy was loaded in that state, which must be good."""
    flags = state_flags(buffer)
    if not flags["enforcing"]:
        raise MacPermissive("SELinux was permissive")
    if not flags["initialized"]:
        return False  # init sets enforcement before it loads the policy
    wrong = sorted(name for name, due in rules.flags.items() if flags.get(name) is not due)
    if wrong:
        raise MacStateRefused(f"SELinux: {', '.join(wrong)} not as the policy accepts")
    return True


def state_flags(buffer: bytes) -> dict[str, bool]:
    """Return the flags of a measured state, ``enforcing`` and ``initialized`` among them.

    :raises MacStateRefused: it is none.
    """
    text = buffer.rstrip(b"\0")
    if not _STATE.fullmatch(text):
        raise MacStateRefused("SELinux's measured state cannot be read")
    pairs = [one.split("=") for one in text.decode().rstrip(";").split(";")]
    flags = {name: value == "1" for name, value in pairs}
    if len(flags) != len(pairs) or not {"enforcing", "initialized"} <= flags.keys():
        raise MacStateRefused("SELinux's measured state cannot be read")
    return flags
