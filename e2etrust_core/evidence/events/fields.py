# SPDX-License-Identifier: Apache-2.0
"""An event by its fields, as texts that rules compare: only what its digest bears out.

Of a boot entry whose digest is of the contents alone (TCG PFP 1.05, 10.4.2, and nearly all
firmware) the contents are borne out, and the entry's number is not: ``entry`` is then no field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from e2etrust_core.evidence.errors import EventLogError
from e2etrust_core.evidence.event_log import Event
from e2etrust_core.evidence.events import kinds
from e2etrust_core.evidence.events.boot_entries import (
    decode_boot_order,
    decode_load_option,
    is_boot_entry,
)
from e2etrust_core.evidence.events.coverage import Covered
from e2etrust_core.evidence.events.partitions import decode_partition_table
from e2etrust_core.evidence.events.sipa import Measured, decode_measured
from e2etrust_core.evidence.events.variables import EFI_GLOBAL, EfiVariable, decode_variable

#: The value of a tag that is longer is not told.
_MAX_VALUE = 32
#: Every field there can be.
FIELDS = frozenset(
    {
        "word",
        *("entry", "description", "path", "optional_data", "active", "order"),
        *("disk", "partition_type", "partition_id", "partition_name"),
        "tag",
    }
)


@dataclass(frozen=True, slots=True)
class Field:
    """``values`` in the event's order; none where the event says nothing of it."""

    name: str
    values: tuple[str, ...]


def fields_of(event: Event, covered: Covered, text: str | None) -> tuple[Field, ...]:
    """Return the fields of *event*; none where it has no such or cannot be decoded.

    :param covered: what its digest is of, as :func:`.coverage.coverage` says; ``event`` gives the
        fields that the log tells of.
    :param text: its covered text (:func:`.text.covered_text`).
    """
    found = [] if text is None else [Field("word", tuple(words_of(text)))]
    decode = _DECODERS.get(event.kind)
    if decode is not None:
        try:
            found += decode(event.data, covered)
        except EventLogError:
            pass  # bytes of another kind have no fields
    return tuple(found)


def words_of(text: str) -> Iterator[str]:
    """Yield the words of a command line as Linux takes it apart: at blanks outside of quotes.

    Documentation/admin-guide/kernel-parameters.rst; the quotes stay where they are.
    """
    word, quoted = "", False
    for char in text:
        quoted ^= char == '"'
        if char not in " \t\n" or quoted:
            word += char
        elif word:
            yield word
            word = ""
    if word:
        yield word


def _boot(data: bytes, covered: Covered) -> list[Field]:
    variable = decode_variable(data)
    if covered == "nothing":
        return []
    if is_boot_entry(variable):
        return _entry(variable, covered)
    if (variable.vendor, variable.name) == (EFI_GLOBAL, "BootOrder"):
        order = ",".join(f"Boot{number:04X}" for number in decode_boot_order(variable.data))
        return [Field("order", (order,))]
    return []


def _entry(variable: EfiVariable, covered: Covered) -> list[Field]:
    option = decode_load_option(variable.data)
    found = [
        Field("description", (option.description,)),
        Field("path", option.paths),
        Field("optional_data", (option.optional_data.hex(),)),
        Field("active", ("yes" if option.active else "no",)),
    ]
    return found if covered == "variable" else [Field("entry", (variable.name,)), *found]


def _partitions(data: bytes, covered: Covered) -> list[Field]:
    table = decode_partition_table(data)
    if covered != "event" or table.extra:
        return []
    return [
        Field("disk", (str(table.disk),)),
        Field("partition_type", tuple(str(one.kind) for one in table.partitions)),
        Field("partition_id", tuple(str(one.unique) for one in table.partitions)),
        Field("partition_name", tuple(one.name for one in table.partitions)),
    ]


def _tags(data: bytes, covered: Covered) -> list[Field]:
    if covered != "event":
        return []
    return [Field("tag", tuple(map(_tag, decode_measured(data))))]


def _tag(one: Measured) -> str:
    return f"{one.name}={one.data.hex()}" if 0 < len(one.data) <= _MAX_VALUE else one.name


_DECODERS: dict[int, Callable[[bytes, Covered], list[Field]]] = {
    kinds.EV_EFI_VARIABLE_BOOT: _boot,
    kinds.EV_EFI_VARIABLE_BOOT2: _boot,
    kinds.EV_EFI_GPT_EVENT: _partitions,
    kinds.EV_EFI_GPT_EVENT2: _partitions,
    kinds.EV_EVENT_TAG: _tags,
}
