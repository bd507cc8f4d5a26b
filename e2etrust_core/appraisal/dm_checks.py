# SPDX-License-Identifier: Apache-2.0
"""Measured device-mapper tables held against a policy's rules.

Every table that was loaded must be one that a rule accepts, and every table that became active one
that was seen to be loaded: what was loaded before the kernel measured is known by its hash only.

Which tables are active now is what the log tells.  IMA leaves out what it measured before: a device
that was removed and set up again as it was stays removed here, and of two tables that take turns
the one that came last for the first time counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from e2etrust_core.appraisal.dm_rules import DmRule
from e2etrust_core.appraisal.errors import (
    AppraisalError,
    DmDeviceMissing,
    DmDeviceRefused,
    DmTableUnmeasured,
)
from e2etrust_core.appraisal.ima_checks import SetApart, raise_first
from e2etrust_core.evidence.device_mapper import (
    TABLE_CLEAR,
    DeviceRemove,
    DeviceRename,
    DeviceResume,
    DmDevice,
    DmTarget,
    TableLoad,
    decode_dm,
)
from e2etrust_core.evidence.errors import ImaListError
from e2etrust_core.one_line import printable

#: Tables of one host that are remembered: a table becomes active soon after it was loaded.
MAX_TABLES = 128
#: ``gone``: it was active, until its device was removed or got another table.
_ACTIVE, _LOADED, _GONE = "active", "loaded", "gone"
#: Devices that a row names.
_MOST_NAMED = 20


@dataclass
class _Part:
    """Parts of a long table that came so far."""

    measured: bytes = b""
    targets: list[DmTarget] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Table:
    """An accepted table: the number of its rule, its state, its device's number and name."""

    rule: int
    state: str
    number: str = ""
    name: str = ""

    @classmethod
    def recall(cls, words: str) -> _Table:
        """Read what :meth:`kept` wrote; releases before 1.3 of the schema wrote rule and state."""
        rule, state, *device = words.split(" ", 3)
        return cls(int(rule), state, *device)

    @property
    def kept(self) -> str:
        return f"{self.rule} {self.state} {self.number} {self.name}"


class DmTables:
    """The accepted tables of one host from its boot on.

    :param kept: what :attr:`kept` told after an earlier part of the list.
    """

    def __init__(self, rules: Sequence[DmRule], kept: Sequence[str] = ()) -> None:
        self._rules = rules
        self._parts: dict[DmDevice, _Part] = {}
        #: By the SHA-256 of what was measured at the load, in hex.
        self._tables: dict[str, _Table] = {}
        for one in kept:
            digest, _, words = one.partition(" ")
            self._tables[digest] = _Table.recall(words)

    @property
    def kept(self) -> list[str]:
        return [f"{digest} {table.kept}" for digest, table in self._tables.items()]

    @property
    def unfinished(self) -> bool:
        """Whether a table's last part is still to come."""
        return bool(self._parts)

    @property
    def active(self) -> list[str]:
        """Names of the devices whose active table is one that was measured, the last one last."""
        return [one.name for one in self._tables.values() if one.state == _ACTIVE]

    def satisfies(self, number: int) -> bool:
        """Whether a table that rule *number* accepted became active, and is still if it says so."""
        wanted = (_ACTIVE,) if self._rules[number].now else (_ACTIVE, _GONE)
        return any(one.rule == number and one.state in wanted for one in self._tables.values())

    def see(self, measured: SetApart) -> None:
        """Take in one measurement, in the order of the list.

        :raises DmDeviceRefused, DmTableUnmeasured: it is not as the rules accept.
        """
        if measured.name == TABLE_CLEAR:
            return
        try:
            event = decode_dm(measured.name, measured.buffer)
        except ImaListError as exc:
            raise DmDeviceRefused(exc.reason) from None
        if isinstance(event, TableLoad):
            self._load(event, measured.buffer)
        elif isinstance(event, DeviceResume):
            self._resume(event)
        elif isinstance(event, DeviceRename):
            self._rename(event)
        else:
            self._remove(event)

    def _load(self, event: TableLoad, buffer: bytes) -> None:
        part = self._parts.pop(event.device, _Part())
        if event.first == 0:
            part = _Part()
        if event.first != len(part.targets):
            raise DmDeviceRefused(f"{_plain(event.device.name)}: parts of its table are missing")
        part.measured += buffer
        part.targets += event.targets
        if len(part.targets) < event.count:
            self._parts[event.device] = part
            return
        number = self._rule_for(event.device, part.targets)
        if number is None:
            raise DmDeviceRefused(
                f"{_plain(event.device.name)}: its table is none that is accepted"
            )
        digest = hashlib.sha256(part.measured).hexdigest()
        known = self._tables.pop(digest, _Table(number, _LOADED))
        device = event.device
        self._keep(digest, _Table(number, known.state, device.number, device.name))

    def _rule_for(self, device: DmDevice, targets: Sequence[DmTarget]) -> int | None:
        for number, rule in enumerate(self._rules):
            if rule.is_of(device) and all(map(rule.accepts, targets)):
                return number
        return None

    def _keep(self, digest: str, table: _Table) -> None:
        self._tables[digest] = table
        if len(self._tables) > MAX_TABLES:
            spare = (d for d, one in self._tables.items() if not self._rules[one.rule].required)
            del self._tables[next(spare, next(iter(self._tables)))]

    def _resume(self, event: DeviceResume) -> None:
        digest, device = (event.table or b"").hex(), event.device
        self._end(device)
        if digest in self._tables:
            rule = self._tables.pop(digest).rule
            self._keep(digest, _Table(rule, _ACTIVE, device.number, device.name))
        elif not any(rule.anything and rule.is_of(event.device) for rule in self._rules):
            raise DmTableUnmeasured(
                f"{_plain(event.device.name)}: its active table was not seen to be loaded"
            )

    def _remove(self, event: DeviceRemove) -> None:
        if event.device is not None:
            self._end(event.device)

    def _end(self, device: DmDevice) -> None:
        """The table that *device* had is active no more."""
        for digest, one in self._tables.items():
            same = one.number == device.number if device.number else one.name == device.name
            if one.state == _ACTIVE and same:
                self._tables[digest] = replace(one, state=_GONE)

    def _rename(self, event: DeviceRename) -> None:
        """Accept a name for which the same rules hold: then they accept the same tables."""
        after = [rule for rule in self._rules if rule.is_of(event.after)]
        if event.before is None:
            fits = any(rule.anything for rule in after)
        else:
            device = event.before
            fits = after == [rule for rule in self._rules if rule.is_of(device)] != []
        if not fits:
            raise DmDeviceRefused(f"{_plain(event.after.name)}: a device was renamed to that")
        for digest, one in self._tables.items():
            if event.before is not None and one.number == event.before.number:
                self._tables[digest] = replace(one, name=event.after.name)


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
        if rule.required and not tables.satisfies(number):
            what = "is still active" if rule.now else "became active"
            raise DmDeviceMissing(
                f"no device {what} as rule {number + 1} of device_mapper requires"
            )
    return tables


def told_of(tables: DmTables) -> str:
    """Return in words which devices have a measured table now, as far as the log tells."""
    names = [_plain(name) for name in tables.active]
    more = len(names) - _MOST_NAMED
    named = ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"active now, as far as the log tells: {named or 'none'}"


def _plain(name: str) -> str:
    return printable(name or "a device without a name", 64)
