# SPDX-License-Identifier: Apache-2.0
"""The JSON area of a LUKS2 header, checked field by field (LUKS2 On-Disk Format 1.1, section 3).

Everything is refused that cryptsetup refuses, so that what we read out of a header is what any
other LUKS2 tool would read out of it.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any, NoReturn

from e2etrust_core.sealed.errors import HeaderBrokenError, SegmentsOverlapError
from e2etrust_core.sealed.extents import Extent

Object = dict[str, Any]

_U64 = 1 << 64
_SECTOR_SIZES = (512, 1024, 2048, 4096)
_MAX_KEYSLOTS_SIZE = 128 * 1024 * 1024
_TOP = ("config", "digests", "keyslots", "segments", "tokens")


@dataclass(frozen=True)
class Segment:
    """One piece of the data device. `size` is None where it is "dynamic" (up to the end)."""

    number: int
    kind: str
    offset: int
    size: int | None
    encryption: str = ""
    iv_tweak: int = 0
    sector_size: int = 512
    flags: tuple[str, ...] = ()

    @property
    def is_backup(self) -> bool:
        return any(flag.startswith("backup-") for flag in self.flags)


@dataclass(frozen=True)
class Digest:
    """How a volume key is recognised."""

    kind: str
    keyslots: tuple[str, ...]
    segments: tuple[int, ...]
    hash: str
    iterations: int
    salt: bytes
    value: bytes


@dataclass(frozen=True)
class Metadata:
    """A validated JSON area. `document` is the parsed JSON it came from."""

    segments: tuple[Segment, ...]
    digests: tuple[Digest, ...]
    keyslots: tuple[str, ...]
    token_types: tuple[tuple[str, str], ...]
    requirements: tuple[str, ...]
    document: Object


def parse(area: bytes, header_size: int) -> Metadata:
    """Read and check a JSON area.

    :param area: all bytes behind the binary header, `header_size` - 4096 of them.
    :param header_size: what the binary header says, 16 KiB to 4 MiB.
    :raises HeaderBrokenError: anything is not as the format demands; the message names the field.
    """
    document = _load(area)
    for name in _TOP:
        _object(document, name, name)
    keyslots_size = _config(document["config"], header_size)
    keyslots = _keyslots(document["keyslots"], header_size, keyslots_size)
    segments = _segments(document["segments"])
    first_data = min((s.offset for s in segments), default=0)
    if first_data and 2 * header_size + keyslots_size > first_data:
        _refuse("config.keyslots_size reaches into the data")
    digests = _digests(document["digests"], keyslots, segments)
    return Metadata(
        segments,
        digests,
        keyslots,
        _tokens(document["tokens"], keyslots),
        _requirements(document["config"]),
        document,
    )


def dump(document: Object) -> bytes:
    """Compact JSON text; keys keep their order."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=True).encode()


def base64_text(data: bytes) -> str:
    """Bytes as LUKS2 JSON holds them."""
    return base64.b64encode(data).decode("ascii")


def _refuse(what: str) -> NoReturn:
    raise HeaderBrokenError(f"LUKS2 JSON: {what}")


def _load(area: bytes) -> Object:
    if not area.startswith(b"{"):
        _refuse("the area does not begin with an object")
    end = area.find(b"\0")
    if end < 0:
        _refuse("there is no zero byte behind the text")
    if any(area[end:]):
        _refuse("bytes behind the text are not zero")
    try:
        document = json.loads(
            area[:end].decode("utf-8"),
            object_pairs_hook=_no_duplicates,
            parse_constant=lambda name: _refuse(f"{name} is no JSON"),
        )
    except (ValueError, RecursionError):
        _refuse("the text cannot be parsed")
    if not area[:end].endswith(b"}"):
        _refuse("there is something behind the object")
    return document


def _no_duplicates(pairs: list[tuple[str, Any]]) -> Object:
    out = dict(pairs)
    if len(out) != len(pairs):
        _refuse("a key stands twice in one object")
    return out


def _object(parent: Object, name: str, path: str) -> Object:
    value = parent.get(name)
    if not isinstance(value, dict):
        _refuse(f"{path} is not an object")
    return value


def _text(parent: Object, name: str, path: str) -> str:
    value = parent.get(name)
    if not isinstance(value, str):
        _refuse(f"{path}.{name} is not a string")
    return value


def _integer(parent: Object, name: str, path: str, least: int = 0) -> int:
    value = parent.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 1 << 31:
        _refuse(f"{path}.{name} is not a fitting number")
    return value


def _u64(parent: Object, name: str, path: str) -> int:
    text = _text(parent, name, path)
    if not (text.isascii() and text.isdigit()) or len(text) > 20 or int(text) >= _U64:
        _refuse(f"{path}.{name} is not a 64-bit number in decimal")
    return int(text)


def _strings(parent: Object, name: str, path: str) -> tuple[str, ...]:
    value = parent.get(name)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        _refuse(f"{path}.{name} is not an array of strings")
    return tuple(value)


def _bytes(parent: Object, name: str, path: str) -> bytes:
    try:
        return base64.b64decode(_text(parent, name, path), validate=True)
    except (binascii.Error, ValueError):
        _refuse(f"{path}.{name} is not base64")


def _number(key: str, path: str) -> int:
    if not (key.isascii() and key.isdigit()) or len(key) > 10 or str(int(key)) != key:
        _refuse(f"{path} has the name {key[:20]!r}, which is not a number")
    return int(key)


def _config(config: Object, header_size: int) -> int:
    if _u64(config, "json_size", "config") != header_size - 4096:
        _refuse("config.json_size and the binary header disagree")
    size = _u64(config, "keyslots_size", "config")
    if size % 4096 or size > _MAX_KEYSLOTS_SIZE:
        _refuse("config.keyslots_size is not allowed")
    if "flags" in config:
        _strings(config, "flags", "config")
    return size


def _requirements(config: Object) -> tuple[str, ...]:
    if "requirements" not in config:
        return ()
    requirements = _object(config, "requirements", "config.requirements")
    if "mandatory" not in requirements:
        return ()
    return _strings(requirements, "mandatory", "config.requirements")


def _keyslots(keyslots: Object, header_size: int, keyslots_size: int) -> tuple[str, ...]:
    areas = []
    for key in keyslots:
        path = f"keyslots.{_number(key, 'keyslots')}"
        slot = _object(keyslots, key, path)
        kind = _text(slot, "type", path)
        _integer(slot, "key_size", path, 1 if kind == "luks2" else 0)
        area = _object(slot, "area", f"{path}.area")
        _text(area, "type", f"{path}.area")
        offset, size = _u64(area, "offset", f"{path}.area"), _u64(area, "size", f"{path}.area")
        areas.append(Extent(offset, size))
        if kind == "luks2":
            _kdf(_object(slot, "kdf", f"{path}.kdf"), f"{path}.kdf")
            _anti_forensic(_object(slot, "af", f"{path}.af"), f"{path}.af")
    _check_areas(areas, 2 * header_size, keyslots_size)
    return tuple(keyslots)


def _kdf(kdf: Object, path: str) -> None:
    # One of another name opens nothing here, and harms nothing: cryptsetup loads it, too.
    kind = _text(kdf, "type", path)
    _bytes(kdf, "salt", path)
    if kind == "pbkdf2":
        _text(kdf, "hash", path)
        _integer(kdf, "iterations", path, 1)
    elif kind in ("argon2i", "argon2id"):
        for name in ("time", "memory", "cpus"):
            _integer(kdf, name, path, 1)


def _anti_forensic(af: Object, path: str) -> None:
    if _text(af, "type", path) == "luks1":
        _integer(af, "stripes", path, 1)
        _text(af, "hash", path)


def _check_areas(areas: list[Extent], start: int, size: int) -> None:
    for area in areas:
        if area.offset < start or area.end > start + size or area.length == 0:
            _refuse("a keyslot's area lies outside of the keyslots area")
    areas = sorted(areas)
    for before, after in zip(areas, areas[1:], strict=False):
        if after.offset < before.end:
            _refuse("two keyslot areas overlap")


def _segments(segments: Object) -> tuple[Segment, ...]:
    numbers = sorted(_number(key, "segments") for key in segments)
    if numbers != list(range(len(numbers))):
        _refuse("segments are not numbered without gaps from 0")
    out = tuple(_segment(number, segments) for number in numbers)
    regular = [segment for segment in out if not segment.is_backup]
    if not regular:
        _refuse("there is no segment")
    if any(segment.is_backup for segment in out[: len(regular)]):
        _refuse("a backup segment stands before a regular one")
    _check_overlap(regular)
    return out


def _segment(number: int, segments: Object) -> Segment:
    path = f"segments.{number}"
    raw = _object(segments, str(number), path)
    kind = _text(raw, "type", path)
    offset = _u64(raw, "offset", path)
    size = None if raw.get("size") == "dynamic" else _u64(raw, "size", path)
    if offset % 512 or (size is not None and (size % 512 or size == 0)):
        _refuse(f"{path} is not of whole sectors")
    flags = _strings(raw, "flags", path) if "flags" in raw else ()
    if kind != "crypt":
        return Segment(number, kind, offset, size, flags=flags)
    encryption = _text(raw, "encryption", path)
    if not encryption:
        _refuse(f"{path}.encryption is empty")
    sector_size = _integer(raw, "sector_size", path)
    if sector_size not in _SECTOR_SIZES or (size is not None and size % sector_size):
        _refuse(f"{path}.sector_size is not allowed")
    iv_tweak = _u64(raw, "iv_tweak", path)
    return Segment(number, kind, offset, size, encryption, iv_tweak, sector_size, flags)


def _check_overlap(segments: list[Segment]) -> None:
    ordered = sorted(segments, key=lambda segment: segment.offset)
    for before, after in zip(ordered, ordered[1:], strict=False):
        if before.size is None or before.offset + before.size > after.offset:
            raise SegmentsOverlapError(
                f"LUKS2 JSON: segments {before.number} and {after.number} overlap"
            )


def _digests(
    digests: Object, keyslots: tuple[str, ...], segments: tuple[Segment, ...]
) -> tuple[Digest, ...]:
    out = []
    for key in digests:
        path = f"digests.{_number(key, 'digests')}"
        out.append(_digest(_object(digests, key, path), path))
    for digest in out:
        _known(digest.keyslots, keyslots, "a digest names a keyslot")
        if any(number >= len(segments) for number in digest.segments):
            _refuse("a digest names a segment that does not exist")
    assigned = {number for digest in out for number in digest.segments}
    if any(s.kind == "crypt" and s.number not in assigned for s in segments):
        _refuse("a crypt segment belongs to no digest")
    for slot in keyslots:
        if sum(slot in digest.keyslots for digest in out) != 1:
            _refuse(f"keyslot {slot} does not belong to exactly one digest")
    return tuple(out)


def _digest(raw: Object, path: str) -> Digest:
    kind = _text(raw, "type", path)
    keyslots = _strings(raw, "keyslots", path)
    numbers = tuple(_number(key, f"{path}.segments") for key in _strings(raw, "segments", path))
    value = _bytes(raw, "digest", path)
    if kind != "pbkdf2":
        return Digest(kind, keyslots, numbers, "", 0, b"", value)
    return Digest(
        kind,
        keyslots,
        numbers,
        _text(raw, "hash", path),
        _integer(raw, "iterations", path, 1),
        _bytes(raw, "salt", path),
        value,
    )


def _tokens(tokens: Object, keyslots: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    out = []
    for key in tokens:
        path = f"tokens.{_number(key, 'tokens')}"
        token = _object(tokens, key, path)
        kind = _text(token, "type", path)
        _known(_strings(token, "keyslots", path), keyslots, "a token names a keyslot")
        out.append((key, kind))
    return tuple(out)


def _known(names: tuple[str, ...], known: tuple[str, ...], what: str) -> None:
    if any(name not in known for name in names):
        _refuse(f"{what} that does not exist")
