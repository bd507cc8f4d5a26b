# SPDX-License-Identifier: Apache-2.0
"""INI files as oslo.config reads them, from plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Value = str | int | bool | Sequence[str]
Section = Mapping[str, Value]
Ini = Mapping[str, Section]


def render(ini: Ini) -> str:
    """Text of ``ini``; a sequence becomes one line an element (oslo.config's MultiStrOpt).

    :raises ValueError: when a value holds a line break, which would smuggle in another option.
    """
    blocks = []
    for name, section in ini.items():
        lines = [f"[{name}]"]
        for option, value in section.items():
            values = [value] if isinstance(value, (str, int)) else list(value)
            lines.extend(f"{option} = {_text(item)}".rstrip() for item in values)
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def _text(value: str | int | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    if "\n" in text or "\r" in text:
        raise ValueError("an option's value must be one line")
    return text
