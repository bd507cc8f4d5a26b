# SPDX-License-Identifier: Apache-2.0
"""Event rules proposed from the log of a host that is known to be good.

What the digests cover is proposed in words that a person can judge (variables, texts, data); of
the rest the digests are.  Nothing is proposed to be accepted unseen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from e2etrust_core.appraisal.event_checks import seen_events
from e2etrust_core.appraisal.event_match import SeenEvent
from e2etrust_core.appraisal.event_rules import (
    Accept,
    DataAmong,
    DigestAmong,
    EventRule,
    EventRules,
    Phase,
    TextLike,
    VariableIs,
)
from e2etrust_core.evidence.event_log import EventLog
from e2etrust_core.evidence.events.kinds import EV_SEPARATOR

#: Longer contents (certificates, signature databases) are named by their digest.
_MAX_DATA = 64


def propose_rules(log: EventLog, bank: str, pcrs: Sequence[int]) -> EventRules:
    """Return rules that accept exactly the events of *log* in *pcrs*, each as often as it is there.

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
    # Bytes behind a variable that its digest is of as well are nothing that a rule can speak of.
    whole = variable is not None and (not variable.extra or seen.covered == "structure")
    if covered and whole and variable is not None and len(variable.data) <= _MAX_DATA:
        return VariableIs(variable.vendor, variable.name, frozenset({variable.data}))
    if covered and seen.event.kind == EV_SEPARATOR:
        return DataAmong(frozenset({seen.event.data}))
    if seen.text is not None and variable is None:
        return TextLike(frozenset({seen.text}))
    return DigestAmong(frozenset({seen.digest}))
