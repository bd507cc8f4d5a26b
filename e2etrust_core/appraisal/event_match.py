# SPDX-License-Identifier: Apache-2.0
"""Does one event satisfy one rule?  Only what the event's digest covers counts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, assert_never
from uuid import UUID

from e2etrust_core.appraisal.event_rules import (
    Anything,
    DataAmong,
    DatabaseHas,
    DigestAmong,
    EventRule,
    FieldPatterns,
    FieldsLike,
    TextLike,
    VariableIs,
    VariableLike,
)
from e2etrust_core.appraisal.patterns import is_like
from e2etrust_core.evidence.errors import EventLogError
from e2etrust_core.evidence.event_log import Event
from e2etrust_core.evidence.events.coverage import Covered, coverage
from e2etrust_core.evidence.events.fields import Field, fields_of
from e2etrust_core.evidence.events.kinds import (
    EV_EFI_VARIABLE_AUTHORITY,
    VARIABLE_KINDS,
    name_of_kind,
)
from e2etrust_core.evidence.events.text import covered_text, text_of
from e2etrust_core.evidence.events.variables import (
    CERT_SHA256,
    CERT_X509,
    EfiSignature,
    EfiVariable,
    decode_authority,
    decode_signature_lists,
    decode_variable,
)

#: ``refused``: it is what the rule speaks of and says something else; ``uncovered``: it would
#: fit, and its digest does not bear it out.
Match = Literal["yes", "no", "refused", "uncovered"]
#: What a digest must cover of a variable that a rule names.
_NAMED = ("event", "structure")


@dataclass(frozen=True, slots=True)
class SeenEvent:
    """An event as its digest lets it be seen.  ``number`` counts from 1, the Spec ID event is 0."""

    number: int
    event: Event
    digest: bytes
    covered: Covered
    text: str | None
    variable: EfiVariable | None
    after_separator: bool

    @property
    def where(self) -> str:
        return place_of(self.number, self.event)


def place_of(number: int, event: Event) -> str:
    """Return the words that name an event to an operator."""
    return f"event {number} (PCR {event.pcr}, {name_of_kind(event.kind)})"


def see(number: int, event: Event, bank: str, *, after_separator: bool) -> SeenEvent:
    """Read *event*, which has a digest of *bank*."""
    variable = None
    if event.kind in VARIABLE_KINDS:
        try:
            variable = decode_variable(event.data)
        except EventLogError:
            variable = None
    return SeenEvent(
        number,
        event,
        event.digests[bank],
        coverage(event, bank),
        covered_text(event, bank),
        variable,
        after_separator,
    )


def match(rule: EventRule, seen: SeenEvent) -> Match:
    """Say whether *rule* accepts *seen*."""
    if seen.event.pcr not in rule.pcrs or seen.event.kind != rule.kind:
        return "no"
    if rule.phase != "any" and seen.after_separator != (rule.phase == "after"):
        return "no"
    accept = rule.accept
    if isinstance(accept, Anything):
        return "yes"
    if isinstance(accept, DigestAmong):
        return "yes" if seen.digest in accept.digests else "no"
    if isinstance(accept, DataAmong):
        return _borne_out(seen.event.data in accept.data, seen.covered)
    if isinstance(accept, TextLike):
        return "yes" if _is_like(seen.text, accept) else "no"
    if isinstance(accept, FieldsLike):
        return _fields(seen, accept)
    if isinstance(accept, VariableIs | VariableLike | DatabaseHas):
        return _variable(seen, accept)
    assert_never(accept)


def entries_of(seen: SeenEvent) -> frozenset[str]:
    """Return the names of the entries that the event's variable holds, a signature database.

    :raises EventLogError: it is none.
    """
    if seen.variable is None:
        raise EventLogError("the event is of no variable")
    if seen.event.kind == EV_EFI_VARIABLE_AUTHORITY:
        return frozenset({entry_name(decode_authority(seen.variable.data))})
    return frozenset(map(entry_name, decode_signature_lists(seen.variable.data)))


def entry_name(entry: EfiSignature) -> str:
    """Return what a policy calls an entry of a signature database.

    ``x509:`` and the SHA-256 of the certificate, ``sha256:`` and the hash that is the entry, or
    the entry's type and the SHA-256 of its data.
    """
    if entry.kind == CERT_SHA256:
        return f"sha256:{entry.data.hex()}"
    kind = "x509" if entry.kind == CERT_X509 else str(entry.kind)
    return f"{kind}:{hashlib.sha256(entry.data).hexdigest()}"


def _borne_out(fits: bool, covered: Covered) -> Match:
    if not fits:
        return "no"
    return "yes" if covered == "event" else "uncovered"


def _is_like(text: str | None, accept: TextLike) -> bool:
    if text is None:
        return False
    return text in accept.exact or any(is_like(text, one) for one in accept.patterns)


def _named(seen: SeenEvent, vendor: UUID, name: str) -> EfiVariable | None:
    found = seen.variable
    return found if found is not None and (found.vendor, found.name) == (vendor, name) else None


def _variable(seen: SeenEvent, accept: VariableIs | VariableLike | DatabaseHas) -> Match:
    found = _named(seen, accept.vendor, accept.name)
    if found is None:
        return "no"
    # A digest of the contents alone would leave the name to whoever wrote the log.
    if seen.covered not in _NAMED:
        return "uncovered"
    if isinstance(accept, VariableIs):
        accepted = found.data in accept.data
    elif isinstance(accept, VariableLike):
        accepted = _is_like(text_of(found.data), accept.contents)
    else:
        accepted = _has_entries(seen, accept)
    return "yes" if accepted else "refused"


def _has_entries(seen: SeenEvent, accept: DatabaseHas) -> bool:
    try:
        entries = entries_of(seen)
    except EventLogError:
        return False
    return (accept.only is None or entries <= accept.only) and accept.including <= entries


def _fields(seen: SeenEvent, accept: FieldsLike) -> Match:
    asked = {one.field for one in (*accept.each, *accept.has)}
    found = _by_name(fields_of(seen.event, seen.covered, seen.text))
    if not asked <= found.keys():
        told = _by_name(fields_of(seen.event, "event", seen.text))
        return "uncovered" if asked <= told.keys() else "no"
    accepted = all(
        _is_one_of(value, one) for one in accept.each for value in found[one.field]
    ) and all(_is_there(found[one.field], one) for one in accept.has)
    if accepted:
        return "yes"
    # Texts are told apart by what they say: one that differs is another text.
    return "refused" if "word" not in asked else "no"


def _by_name(fields: Iterable[Field]) -> dict[str, tuple[str, ...]]:
    return {one.name: one.values for one in fields}


def _is_one_of(value: str, asked: FieldPatterns) -> bool:
    return any(is_like(value, pattern) for pattern in asked.patterns)


def _is_there(values: tuple[str, ...], asked: FieldPatterns) -> bool:
    return all(any(is_like(value, one) for value in values) for one in asked.patterns)
