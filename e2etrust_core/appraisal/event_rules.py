# SPDX-License-Identifier: Apache-2.0
"""What a policy says of the events in a host's TCG event log, as values.

A PCR value covers the digests of its events and their order.  It covers neither an event's type
nor, by itself, its data.  So a rule accepts by an event's digest, or by data that the digest is
of; the type says only how data is to be read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from e2etrust_core.evidence.events.kinds import name_of_kind

#: Where an event may stand: before or after the first separator of its PCR (the firmware's end
#: of its own part: TCG PFP 1.05, 3.3.4 and 10.4.1).
Phase = Literal["any", "before", "after"]


@dataclass(frozen=True, slots=True)
class DigestAmong:
    """The event's digest is one of these."""

    digests: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class DataAmong:
    """All of the event's data is one of these, and its digest is of that data."""

    data: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class TextLike:
    """The event's covered text is one of ``exact``, or like one of ``patterns``.

    A pattern is for the whole text: ``*`` stands for any characters, ``?`` for one.
    """

    exact: frozenset[str]
    patterns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VariableIs:
    """An EFI variable with one of these contents; empty contents: the variable is not there."""

    vendor: UUID
    name: str
    data: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class VariableLike:
    """An EFI variable whose contents are such a text."""

    vendor: UUID
    name: str
    contents: TextLike


@dataclass(frozen=True, slots=True)
class FieldPatterns:
    """A field of an event (:data:`.fields.FIELDS`), and patterns for it as in :class:`TextLike`."""

    field: str
    patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FieldsLike:
    """Fields that the event's digest bears out.

    ``each``: every value of the field is like one of the patterns; ``has``: for every pattern
    there is a value.  What is not named may be anything.
    """

    #: Both by field, in the order of their names.
    each: tuple[FieldPatterns, ...]
    has: tuple[FieldPatterns, ...]


@dataclass(frozen=True, slots=True)
class DatabaseHas:
    """A signature database (PK, KEK, db, dbx): which entries there may be, and which must.

    Of EV_EFI_VARIABLE_AUTHORITY it is the one entry that let an image run.  Entries are named as
    :func:`.event_match.entry_name` does; ``only`` None: any may be there.
    """

    vendor: UUID
    name: str
    only: frozenset[str] | None
    including: frozenset[str]


@dataclass(frozen=True, slots=True)
class Anything:
    """Accepted unseen.  It must be said; a row tells how many events were."""


Accept = (
    DigestAmong
    | DataAmong
    | TextLike
    | VariableIs
    | VariableLike
    | DatabaseHas
    | FieldsLike
    | Anything
)


@dataclass(frozen=True, slots=True)
class EventRule:
    """Events of one kind that are accepted, and how many: in each of ``pcrs`` by itself.

    ``at_most`` None: any number.
    """

    pcrs: tuple[int, ...]
    kind: int
    accept: Accept
    at_least: int = 1
    at_most: int | None = 1
    phase: Phase = "any"

    def __str__(self) -> str:
        if isinstance(self.accept, VariableIs | VariableLike | DatabaseHas):
            return f"{name_of_kind(self.kind)} {self.accept.name}"
        return name_of_kind(self.kind)


@dataclass(frozen=True, slots=True)
class EventRules:
    """In ``pcrs`` every event must be accepted by a rule; the first that fits takes it."""

    bank: str
    pcrs: tuple[int, ...]
    rules: tuple[EventRule, ...] = field(default_factory=tuple)

    @property
    def decides(self) -> bool:
        """Is there an event without which nobody passes?"""
        return any(
            rule.at_least > 0 and not isinstance(rule.accept, Anything) for rule in self.rules
        )
