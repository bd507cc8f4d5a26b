# SPDX-License-Identifier: Apache-2.0
"""Dataclasses to plain JSON values and back, strictly: what crosses a machine's border.

Bytes travel as base64 text.  Decoding checks every type and refuses what does not fit, so that
the inside of a room never meets a half-checked dictionary.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from e2etrust_core.errors import InputError

T = TypeVar("T")

#: No message of ours is longer; a hostile host's evidence is dropped before it is decoded.
MAX_MESSAGE = 16 * 1024 * 1024
#: JSON of others may escape one half of a surrogate pair by itself, which is no text.
_HALF = "a text holds half a character"


def to_dict(value: Any) -> dict[str, Any]:
    """Return *value* (a dataclass) as JSON-compatible dict: str keys, base64 for bytes."""
    return msgspec.to_builtins(value, str_keys=True)


def from_dict(kind: type[T], value: Any) -> T:
    """Build *kind* from what :func:`to_dict` made.

    :raises InputError: a field is missing or of another type; the message names the field.
    """
    try:
        return msgspec.convert(value, type=kind, strict=True, str_keys=True)
    except msgspec.ValidationError as exc:
        raise InputError(f"{kind.__name__}: {exc}") from None
    except UnicodeEncodeError:
        raise InputError(f"{kind.__name__}: {_HALF}") from None


def to_json(value: Any) -> bytes:
    """Return *value* as compact JSON text (UTF-8)."""
    return msgspec.json.encode(value)


def from_json(kind: type[T], text: bytes | str, limit: int = MAX_MESSAGE) -> T:
    """Parse JSON *text* of at most *limit* bytes into *kind*.

    :raises InputError: too long, not JSON, or not of that shape.
    """
    if len(text) > limit:
        raise InputError(f"{kind.__name__}: {len(text)} bytes, at most {limit} are read")
    try:
        return msgspec.json.decode(text, type=kind, strict=True)
    except msgspec.MsgspecError as exc:
        raise InputError(f"{kind.__name__}: {exc}") from None
    except UnicodeError:
        raise InputError(f"{kind.__name__}: not UTF-8") from None
    except RecursionError:
        raise InputError(f"{kind.__name__}: nested too deep") from None


def canonical(value: Any) -> bytes:
    """Return the one canonical JSON text of *value*: sorted keys, no white space, UTF-8.

    Digests and signatures over our own values are always taken over this text.

    :raises InputError: a text in it cannot be written as UTF-8.
    """
    try:
        return msgspec.json.encode(to_builtins(value), order="sorted")
    except UnicodeEncodeError:
        raise InputError(_HALF) from None


def to_builtins(value: Any) -> Any:
    """Return *value* as plain JSON values, of whatever shape."""
    return msgspec.to_builtins(value, str_keys=True)
