# SPDX-License-Identifier: Apache-2.0
"""Event rules held against a log whose replay equals the quoted PCR values.

Every event is taken by one rule, each rule takes as many as it says, and nothing is left over on
either side: an event that is unknown, a second SecureBoot or separator, an ExitBootServices that
never was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from e2etrust_core.appraisal.errors import (
    AppraisalError,
    EventMissing,
    EventNotCovered,
    EventRefused,
    EventRepeated,
    EventUnknown,
)
from e2etrust_core.appraisal.event_match import SeenEvent, match, place_of, see
from e2etrust_core.appraisal.event_rules import Anything, EventRule, EventRules
from e2etrust_core.crypto import digest_of
from e2etrust_core.evidence.errors import EventLogBankAbsent
from e2etrust_core.evidence.event_log import INFORMATIVE, EventLog
from e2etrust_core.suites import HASHES

#: What a separator's digest is of: all well (either), or an error that the event's data tells of
#: (TCG PFP 1.05, 10.4.1).
_SEPARATORS = (bytes(4), b"\xff" * 4, b"\1\0\0\0")


@dataclass(frozen=True, slots=True)
class EventsAccepted:
    """``unseen``: how many of the accepted events a rule took without looking at them."""

    accepted: int
    unseen: int


def check_events(rules: EventRules, log: EventLog, policy: str) -> EventsAccepted:
    """Hold *log*, whose replay in ``rules.bank`` is known to equal the quote, against *rules*.

    :param policy: its name, for the reasons.
    :raises EventLogBankAbsent: the log has no digests of the rules' bank.
    :raises EventUnknown, EventRepeated, EventRefused, EventNotCovered: the first event that is
        not accepted; ``where`` names it.
    :raises EventMissing: the first rule whose events are not there.
    """
    if rules.bank not in log.banks:
        raise EventLogBankAbsent(f"the event log has no digests of bank {rules.bank}")
    taken: Counter[tuple[int, int]] = Counter()
    accepted = unseen = 0
    for seen in seen_events(log, rules):
        number = _take(rules, seen, taken, policy)
        taken[number, seen.event.pcr] += 1
        accepted += 1
        unseen += isinstance(rules.rules[number].accept, Anything)
    for number, rule in enumerate(rules.rules):
        for pcr in rule.pcrs:
            if taken[number, pcr] < rule.at_least:
                raise _missing(rule, pcr, taken[number, pcr], policy)
    return EventsAccepted(accepted, unseen)


def seen_events(log: EventLog, rules: EventRules) -> Iterator[SeenEvent]:
    """Yield the events of the ruled PCRs, in order.

    Informative events extend nothing, say nothing that counts, and are left out.

    :raises EventUnknown: an event of a ruled PCR that was not extended into the rules' bank.
    """
    name = HASHES[rules.bank].hashlib_name
    # Told by digest: the type of a separator could have been rewritten.
    separators = {digest_of(name, data) for data in _SEPARATORS}
    closed: set[int] = set()
    for number, event in enumerate(log.events, 1):
        if event.pcr not in rules.pcrs or event.kind in INFORMATIVE:
            continue
        digest = event.digests.get(rules.bank)
        if digest is None:
            raise EventUnknown(
                f"an event was not measured into bank {rules.bank}", where=place_of(number, event)
            )
        yield see(number, event, rules.bank, after_separator=event.pcr in closed)
        if digest in separators:
            closed.add(event.pcr)


def _take(rules: EventRules, seen: SeenEvent, taken: Counter[tuple[int, int]], policy: str) -> int:
    """Return the number of the rule that takes *seen*."""
    fault: AppraisalError | None = None
    for number, rule in enumerate(rules.rules):
        found = match(rule, seen)
        if found == "yes" and _has_room(rule, taken[number, seen.event.pcr]):
            return number
        # The most telling fault is that of a rule that knows the event; the first such counts.
        if found != "no" and fault is None:
            fault = _fault(found, rule, seen, policy)
    if fault is None:
        fault = EventUnknown(f"policy {policy} has no rule that accepts it", where=seen.where)
    raise fault


def _has_room(rule: EventRule, taken: int) -> bool:
    return rule.at_most is None or taken < rule.at_most


def _fault(found: str, rule: EventRule, seen: SeenEvent, policy: str) -> AppraisalError:
    if found == "yes":
        return EventRepeated(
            f"{rule} was measured more often than policy {policy} accepts", where=seen.where
        )
    if found == "refused":
        return EventRefused(f"{rule} is not as policy {policy} accepts", where=seen.where)
    return EventNotCovered(
        f"the log's words for {rule} are not what the event's digest is of", where=seen.where
    )


def _missing(rule: EventRule, pcr: int, there: int, policy: str) -> EventMissing:
    found = "is not there" if there == 0 else f"is there {there} times only"
    return EventMissing(f"{rule}, which policy {policy} asks for, {found}", where=f"PCR {pcr}")
