# SPDX-License-Identifier: Apache-2.0
"""Sections of a policy proposed from critical data that a good host's kernel measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from e2etrust_core.appraisal.dm_checks import check_dm
from e2etrust_core.appraisal.errors import DmDeviceRefused
from e2etrust_core.appraisal.ima_checks import SetApart
from e2etrust_core.appraisal.mac_checks import check_mac, state_flags
from e2etrust_core.appraisal.mac_rules import SELINUX_POLICY, SELINUX_STATE, MacRules
from e2etrust_core.appraisal.patterns import narrowest
from e2etrust_core.appraisal.policy_dm import parse_dm
from e2etrust_core.errors import PolicyError
from e2etrust_core.evidence.device_mapper import TABLE_LOAD, DmDevice, TableLoad, decode_dm
from e2etrust_core.evidence.errors import ImaListError

_GIVEN = {"initialized", "enforcing"}


def propose_mac(measured: Sequence[SetApart]) -> tuple[dict[str, Any], str]:
    """Return the ``mac`` section that accepts what was measured of SELinux, and what it accepts.

    :raises AppraisalError: it was not enforcing all the time, or its state cannot be read.
    """
    policies = {one.buffer for one in measured if one.name == SELINUX_POLICY}
    states = [state_flags(one.buffer) for one in measured if one.name == SELINUX_STATE]
    loaded = [state for state in states if state["initialized"]]
    steady = {
        name: value
        for name, value in (loaded[-1] if loaded else {}).items()
        if name not in _GIVEN and all(state.get(name) is value for state in loaded)
    }
    check_mac(MacRules(frozenset(policies), steady), measured, ())
    section: dict[str, Any] = {"policies": sorted(one.hex() for one in policies)}
    if steady:
        section["flags"] = dict(sorted(steady.items()))
    told = f"SELinux enforcing all the time, {len(policies)} policies by digest"
    return {"selinux": section}, f"{told}, {len(steady)} flags as they are"


def propose_device_mapper(measured: Sequence[SetApart]) -> tuple[list[dict[str, Any]], str]:
    """Return the ``device_mapper`` section that accepts what was measured, and what it accepts.

    :raises AppraisalError: a table became active that was not seen to be loaded, or it cannot be
        read.
    """
    rules: dict[tuple[DmDevice, bool], dict[str, Any]] = {}
    for one in measured:
        if one.name != TABLE_LOAD:
            continue
        try:
            event = decode_dm(one.name, one.buffer)
        except ImaListError as exc:
            raise DmDeviceRefused(exc.reason) from None
        if isinstance(event, TableLoad):
            _add_rule(rules, event)
    section = [rules[key] for key in rules]
    try:
        check_dm(parse_dm(section), measured, ())
    except PolicyError as exc:
        raise DmDeviceRefused(exc.reason) from None
    verity = sum("root_digests" in rule for rule in section)
    return section, f"{len(section)} device-mapper devices by name, {verity} by root digest"


def _add_rule(rules: dict[tuple[DmDevice, bool], dict[str, Any]], event: TableLoad) -> None:
    types = {target.type for target in event.targets}
    digests = {target.attributes.get("root_digest", "") for target in event.targets}
    verity = types == {"verity"}
    rule = rules.setdefault((event.device, verity), {"name": narrowest(event.device.name)})
    if event.device.uuid:
        rule["uuid"] = narrowest(event.device.uuid)
    if verity:
        rule["root_digests"] = sorted({*rule.get("root_digests", []), *digests})
    else:
        rule["targets"] = sorted({*rule.get("targets", []), *types})
