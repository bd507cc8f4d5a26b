# SPDX-License-Identifier: Apache-2.0
"""Measured device-mapper tables held against a policy's rules.

Every table that was loaded must be one that a rule accepts, and every table that became active one
that was seen to be loaded: what was loaded before the kernel measured is known by its hash only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from e2etrust_core.appraisal.dm_rules import DmRule
from e2etrust_core.appraisal.errors import (
    AppraisalError,
    DmDeviceMissing,
    DmDeviceRefused,
    DmTableUnmeasured,
)
from e2etrust_core.appraisal.ima_checks import SetApart, raise_first
from e2etrust_core.evidence.device_mapper import (
    DEVICE_REMOVE,
    TABLE_CLEAR,
    DeviceRename,
    DeviceResume,
    DmDevice,
    DmTarget,
    TableLoad,
    decode_dm,
)
from e2etrust_core.evidence.errors import ImaListError

#: Tables of one host that are remembered: a table becomes active soon after it was loaded.
MAX_TABLES = 128
_ACTIVE, _LOADED = "active", "loaded"


@dataclass
class _Part:
    """Parts of a long table that came so far."""

    measured: bytes = b""
    targets: list[DmTarget] = field(default_factory=list)


class DmTables:
    """The accepted tables of one host from its boot on.

    :param kept: what :attr:`kept` told after an earlier part of the list.
    """

    def __init__(self, rules: Sequence[DmRule], kept: Sequence[str] = ()) -> None:
        self._rules = rules
        self._parts: dict[DmDevice, _Part] = {}
        #: SHA-256 of what was measured at the load (hex) -> number of the rule, and state.
        self._tables: dict[str, tuple[int, str]] = {}
        for one in kept:
            digest, number, state = one.split(" ")
            self._tables[digest] = (int(number), state)

    @property
    def kept(self) -> list[str]:
        return [f"{digest} {rule} {state}" for digest, (rule, state) in self._tables.items()]

    @property
    def unfinished(self) -> bool:
        """Whether a table's last part is still to come."""
        return bool(self._parts)

    def active(self, number: int) -> bool:
        """Whether a table that rule *number* accepted became active."""
        return (number, _ACTIVE) in self._tables.values()

    def see(self, measured: SetApart) -> None:
        """Take in one measurement, in the order of the list.

        :raises DmDeviceRefused, DmTableUnmeasured: it is not as the rules accept.
        """
        if measured.name in (DEVICE_REMOVE, TABLE_CLEAR):
            return
        try:
            event = decode_dm(measured.name, measured.buffer)
        except ImaListError as exc:
            raise DmDeviceRefused(exc.reason) from None
        if isinstance(event, TableLoad):
            self._load(event, measured.buffer)
        elif isinstance(event, DeviceResume):
            self._resume(event)
        else:
            self._rename(event)

    def _load(self, event: TableLoad, buffer: bytes) -> None:
        part = self._parts.pop(event.device, _Part())
        if event.first == 0:
            part = _Part()
        if event.first != len(part.targets):
            raise DmDeviceRefused(f"{_plain(event.device)}: parts of its table are missing")
        part.measured += buffer
        part.targets += event.targets
        if len(part.targets) < event.count:
            self._parts[event.device] = part
            return
        number = self._rule_for(event.device, part.targets)
        if number is None:
            raise DmDeviceRefused(f"{_plain(event.device)}: its table is none that is accepted")
        digest = hashlib.sha256(part.measured).hexdigest()
        _, state = self._tables.pop(digest, (number, _LOADED))
        self._keep(digest, number, state)

    def _rule_for(self, device: DmDevice, targets: Sequence[DmTarget]) -> int | None:
        for number, rule in enumerate(self._rules):
            if rule.is_of(device) and all(map(rule.accepts, targets)):
                return number
        return None

    def _keep(self, digest: str, number: int, state: str) -> None:
        self._tables[digest] = (number, state)
        if len(self._tables) > MAX_TABLES:
            spare = (d for d, (n, _) in self._tables.items() if not self._rules[n].required)
            del self._tables[next(spare, next(iter(self._tables)))]

    def _resume(self, event: DeviceResume) -> None:
        digest = (event.table or b"").hex()
        if digest in self._tables:
            number, _ = self._tables.pop(digest)
            self._keep(digest, number, _ACTIVE)
        elif not any(rule.anything and rule.is_of(event.device) for rule in self._rules):
            raise DmTableUnmeasured(
                f"{_plain(event.device)}: its active table was not seen to be loaded"
            )

    def _rename(self, event: DeviceRename) -> None:
        """Accept a name for which the same rules hold: then they accept the same tables."""
        after = [rule for rule in self._rules if rule.is_of(event.after)]
        if event.before is None:
            fits = any(rule.anything for rule in after)
        else:
            device = event.before
            fits = after == [rule for rule in self._rules if rule.is_of(device)] != []
        if not fits:
            raise DmDeviceRefused(f"{_plain(event.after)}: a device was renamed to that")


def check_dm(
    rules: Sequence[DmRule], measured: Sequence[SetApart], kept: Sequence[str]
) -> DmTables:
    """Hold every measurement against *rules*.

    :param measured: buffers of :data:`~e2etrust_core.evidence.device_mapper.DM_BUFFERS`, in the
        order of the list.
    :param kept: what earlier parts of the list left (:attr:`DmTables.kept`).
    :raises DmDeviceRefused, DmTableUnmeasured: the first that is not accepted, and how many more.
    :raises DmDeviceMissing: no device became active as a rule requires.
    """
    tables, faults = DmTables(rules, kept), []
    for one in measured:
        try:
            tables.see(one)
        except AppraisalError as exc:
            exc.where = one.where
            faults.append(exc)
    if faults:
        raise_first(faults)
    for number, rule in enumerate(rules):
        if rule.required and not tables.active(number):
            raise DmDeviceMissing(
                f"no device became active as rule {number + 1} of device_mapper requires"
            )
    return tables


def _plain(device: DmDevice) -> str:
    # A host's words go to logs and terminals: no control characters, no endless names.
    text = device.name or "a device without a name"
    return "".join(char if char.isprintable() else "?" for char in text)[:64]
