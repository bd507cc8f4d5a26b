# SPDX-License-Identifier: Apache-2.0
"""``each`` and ``has`` of an event rule: fields of an event, and patterns for their values."""

from __future__ import annotations

from typing import Any

from e2etrust_core.appraisal.event_rules import FieldPatterns, FieldsLike
from e2etrust_core.errors import PolicyError
from e2etrust_core.evidence.events.fields import FIELDS

MAX_PATTERNS = 1024


def parse_fields(rule: dict[str, Any], where: str) -> FieldsLike:
    """Read what *rule* says of fields.

    :raises PolicyError: a field that there is not, or no list of patterns.
    """
    each, has = (_patterns(rule.get(way), f"{where}: {way}") for way in ("each", "has"))
    return FieldsLike(each, has)


def fields_document(accept: FieldsLike) -> dict[str, Any]:
    """Return *accept* as plain values; :func:`parse_fields` reads them back."""
    said = {"each": accept.each, "has": accept.has}
    return {
        way: {one.field: list(one.patterns) for one in asked}
        for way, asked in said.items()
        if asked
    }


def _patterns(value: object, where: str) -> tuple[FieldPatterns, ...]:
    if value is None:
        return ()
    if not isinstance(value, dict) or not value:
        raise PolicyError(f"{where}: a mapping of fields to patterns for their values")
    found = (_field(name, patterns, where) for name, patterns in value.items())
    return tuple(sorted(found, key=lambda one: one.field))


def _field(name: object, patterns: object, where: str) -> FieldPatterns:
    if name not in FIELDS:
        raise PolicyError(
            f"{where}: no field is called {name!r}; known: {', '.join(sorted(FIELDS))}"
        )
    if not isinstance(patterns, list) or not 1 <= len(patterns) <= MAX_PATTERNS:
        raise PolicyError(f"{where}: {name}: a list of 1 to {MAX_PATTERNS} patterns")
    if not all(isinstance(one, str) for one in patterns):
        raise PolicyError(f"{where}: {name}: every pattern is a text")
    return FieldPatterns(str(name), tuple(patterns))
