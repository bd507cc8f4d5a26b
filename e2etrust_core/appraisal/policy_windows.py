# SPDX-License-Identifier: Apache-2.0
"""Windows for updates: what a policy accepts until a moment, and not from then on.

In a list of accepted values an entry may be ``{accept: VALUE, until: MOMENT}``: it is VALUE before
that moment, and nothing after it.  So a policy's text is a row of policies, one for each time
between two of its moments; each accepts less than the one before.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from e2etrust_core.errors import PolicyError

#: Fields whose lists say what is accepted.  What is left out of them is refused, so a policy
#: accepts less with every window that closes.
WINDOWED = frozenset({"digests", "data", "text", "like", "only", "allow", "signed_by", "exclude"})
WINDOWED |= {"measured", "measured_text", "each"}
WINDOWED |= {"policies", "suites", "manufacturers", "ek_accepted_by", "eks", "root_digests"}
_VALUES = "pcrs"
MAX_MOMENTS = 16
_ENTRY = {"accept", "until"}
#: RFC 3339, 5.6, with a zone.
MOMENT = r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)"
_MOMENT = re.compile(MOMENT)


def moments_of(document: dict[str, Any]) -> list[datetime]:
    """Return when windows of *document* close, each once, the earliest first.

    :raises PolicyError: a window where nothing is accepted by lists, or one that is none.
    """
    found: set[datetime] = set()
    for key, value in document.items():
        _collect(value, str(key), accepting=key == _VALUES, found=found)
    if len(found) > MAX_MOMENTS:
        raise PolicyError(f"windows close at {len(found)} moments, at most {MAX_MOMENTS} are read")
    return sorted(found)


def as_of(document: dict[str, Any], moment: datetime | None) -> dict[str, Any]:
    """Return *document* as it stands at *moment*; None: before any window closes.

    :raises PolicyError: as :func:`moments_of`.
    """
    return {key: _resolved(value, moment) for key, value in document.items()}


def _collect(value: Any, field: str, *, accepting: bool, found: set[datetime]) -> None:
    if isinstance(value, dict):
        for key, one in value.items():
            inside = accepting or key in WINDOWED
            _collect(one, str(key), accepting=inside, found=found)
    elif isinstance(value, list):
        for one in value:
            if not _is_window(one):
                _collect(one, field, accepting=accepting, found=found)
            elif accepting:
                found.add(_moment(one, field))
            else:
                raise PolicyError(f"{field}: what stands here has no window (accept, until)")


def _resolved(value: Any, moment: datetime | None) -> Any:
    if isinstance(value, dict):
        return {key: _resolved(one, moment) for key, one in value.items()}
    if not isinstance(value, list):
        return value
    kept = []
    for one in value:
        if not _is_window(one):
            kept.append(_resolved(one, moment))
        elif moment is None or moment < _moment(one, "until"):
            kept.append(one["accept"])
    return kept


def _is_window(value: Any) -> bool:
    return isinstance(value, dict) and not _ENTRY.isdisjoint(value)


def _moment(entry: dict[str, Any], field: str) -> datetime:
    if entry.keys() != _ENTRY:
        raise PolicyError(f"{field}: a window has accept and until, and nothing else")
    try:
        return parse_moment(entry["until"])
    except PolicyError as exc:
        raise PolicyError(f"{field}: until: {exc.reason}") from None


def parse_moment(value: object) -> datetime:
    """Return a moment that was written down, in UTC.

    :param value: RFC 3339 text, or what YAML makes of it.
    :raises PolicyError: it is none, or has no zone.
    """
    found = value
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        try:
            found = datetime.fromisoformat(value.upper())
        except ValueError:
            found = None
    if not isinstance(found, datetime) or found.tzinfo is None:
        raise PolicyError("a date and time with a zone, such as 2026-12-31T00:00:00Z")
    try:
        return found.astimezone(UTC)
    except OverflowError:
        raise PolicyError("a moment between the years 1 and 9999") from None
