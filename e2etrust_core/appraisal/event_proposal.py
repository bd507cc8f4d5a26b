# SPDX-License-Identifier: Apache-2.0
"""Event rules proposed from the log of a host that is known to be good.

What the digests cover is proposed in words that a person can judge (variables, texts, data, the
entry of a signature database that let an image run); of boot entries and partition tables what
is the same on machines of a kind; of the rest the digests are.  Nothing is proposed to be
accepted unseen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from e2etrust_core.appraisal.event_checks import seen_events
from e2etrust_core.appraisal.event_match import SeenEvent, entries_of
from e2etrust_core.appraisal.event_rules import (
    Accept,
    DataAmong,
    DatabaseHas,
    DigestAmong,
    EventRule,
    EventRules,
    FieldPatterns,
    FieldsLike,
    Phase,
    TextLike,
    VariableIs,
    VariableLike,
)
from e2etrust_core.evidence.errors import EventLogError
from e2etrust_core.evidence.event_log import EventLog
from e2etrust_core.evidence.events.fields import fields_of
from e2etrust_core.evidence.events.kinds import EV_EFI_VARIABLE_AUTHORITY, EV_SEPARATOR
from e2etrust_core.evidence.events.text import text_of
from e2etrust_core.evidence.events.variables import EfiVariable

#: Longer contents (signature databases) are named by their digest.
_MAX_DATA = 64
#: As long as a policy may have it.
_MAX_NAME = 128
_AUTHORITIES = frozenset({"db", "MokList", "Shim", "vendor_db"})
_IN_WORDS = "SbatLevel"
#: What is the same on machines that were set up alike: neither serial numbers nor counters.
_STABLE = frozenset(
    {"description", "path", "optional_data", "active", "partition_type", "partition_name"}
)


def propose_rules(log: EventLog, bank: str, pcrs: Sequence[int]) -> EventRules:
    """Return rules that accept the events of *log* in *pcrs*, each as often as it is there.

    :raises EventUnknown: an event that was not measured into *bank*.
    """
    none = EventRules(bank, tuple(sorted(set(pcrs))))
    found: Counter[tuple[int, int, Phase, Accept]] = Counter()
    for seen in seen_events(log, none):
        phase: Phase = "after" if seen.after_separator else "before"
        found[seen.event.pcr, seen.event.kind, phase, _accept(seen)] += 1
    rules = tuple(
        EventRule((pcr,), kind, accept, times, times, phase)
        for (pcr, kind, phase, accept), times in found.items()
    )
    return EventRules(bank, none.pcrs, rules)


def _accept(seen: SeenEvent) -> Accept:
    variable, covered = seen.variable, seen.covered in ("event", "structure")
    found: Accept | None = _by_fields(seen)
    if found is None and variable is not None and covered:
        # Bytes behind a variable that its digest is of as well: no rule can speak of them.
        whole = not variable.extra or seen.covered == "structure"
        found = _by_variable(seen, variable) if whole else None
    if found is None and covered and seen.event.kind == EV_SEPARATOR:
        found = DataAmong(frozenset({seen.event.data}))
    if found is None and seen.text is not None and variable is None:
        found = TextLike(frozenset({seen.text}))
    return found or DigestAmong(frozenset({seen.digest}))


def _by_variable(seen: SeenEvent, variable: EfiVariable) -> Accept | None:
    if not 0 < len(variable.name) <= _MAX_NAME:
        return None
    if seen.event.kind == EV_EFI_VARIABLE_AUTHORITY and variable.name in _AUTHORITIES:
        try:
            entries = entries_of(seen)
        except EventLogError:
            return None
        return DatabaseHas(variable.vendor, variable.name, entries, entries)
    text = text_of(variable.data) if variable.name == _IN_WORDS else None
    if text is not None:
        return VariableLike(variable.vendor, variable.name, TextLike(frozenset({text})))
    if len(variable.data) <= _MAX_DATA:
        return VariableIs(variable.vendor, variable.name, frozenset({variable.data}))
    return None


def _by_fields(seen: SeenEvent) -> FieldsLike | None:
    """Each field has just the values that it has here, in any order."""
    told = sorted(fields_of(seen.event, seen.covered, None), key=lambda one: one.name)
    found = [one for one in told if one.name in _STABLE]
    values = [value for one in found for value in one.values]
    if not all(one.values for one in found) or any(set(value) & set("*?") for value in values):
        return None
    exact = tuple(FieldPatterns(one.name, tuple(dict.fromkeys(one.values))) for one in found)
    return FieldsLike(exact, exact) if exact else None
