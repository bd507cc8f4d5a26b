# SPDX-License-Identifier: Apache-2.0
"""cryptsetup's own cases of malformed headers (tests/luks2-validation-test), by name.

Each is made here by altering our own valid header and fixing the checksum; the verdicts are
cryptsetup's. Cases of the primary header run with the second copy broken, and the other way round.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2etrust_core.sealed import luks2, luks2_json
from e2etrust_core.sealed.errors import HeaderBrokenError, SealedImageError
from tests.unit.core.sealed import headers

SIZE = headers.SIZE
Document = dict[str, Any]


def broken(area: bytes, copy: int, size: int = SIZE) -> bytes:
    """With one copy's magic gone."""
    at = copy * size
    return area[:at] + b"\0" * 6 + area[at + 6 :]


def altered(change: Callable[[Document], Any]) -> bytes:
    document = headers.document()
    change(document)
    return broken(headers.both(luks2_json.dump(document)), 1)


def text_altered(change: Callable[[bytes], bytes]) -> bytes:
    """The raw JSON text; it may be as long as the area."""
    text = change(luks2_json.dump(headers.document()))
    return broken(headers.both(text), 1)


def flip_checksum(area: bytes, *copies: int) -> bytes:
    for copy in copies:
        at = copy * SIZE + 448
        area = area[:at] + bytes([area[at] ^ 1]) + area[at + 1 :]
    return area


def garbage_json(copy: int) -> bytes:
    good = headers.good()
    bad = headers.both(b"garbage" * 100)
    return good[:SIZE] + bad[SIZE:] if copy else bad[:SIZE] + good[SIZE:]


def filled(extra: int) -> bytes:
    """JSON text that is `extra` bytes longer than the longest allowed."""
    document = headers.document()
    document["tokens"]["0"]["fill"] = ""
    room = SIZE - 4096 - 1 - len(luks2_json.dump(document)) + extra
    document["tokens"]["0"]["fill"] = "x" * room
    return broken(headers.both(luks2_json.dump(document)), 1)


def binary_field(area: bytes, copy: int, at: int, data: bytes) -> bytes:
    """Alter the binary header and fix the checksum."""
    start = copy * SIZE
    part = bytearray(area[start : start + SIZE])
    part[at : at + len(data)] = data
    part[448:512] = bytes(64)
    part[448:480] = hashlib.sha256(part).digest()
    return area[:start] + bytes(part) + area[start + SIZE :]


def set_in(*path: str, value: Any) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        for name in path[:-1]:
            document = document[name]
        document[path[-1]] = value

    return change


def drop(*path: str) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        for name in path[:-1]:
            document = document[name]
        del document[path[-1]]

    return change


def each(*changes: Callable[[Document], Any]) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        for one in changes:
            one(document)

    return change


def segment(name: str, value: Any) -> bytes:
    return altered(set_in("segments", "0", name, value=value))


def area_of(slot: str, offset: int, size: int = 131072) -> Callable[[Document], None]:
    return each(
        set_in("keyslots", slot, "area", "offset", value=str(offset)),
        set_in("keyslots", slot, "area", "size", value=str(size)),
    )


def second_segment(number: str, flags: list[Any] | None = None, kind: str = "crypt") -> bytes:
    def change(document: Document) -> None:
        first = document["segments"]["0"]
        first["size"] = "1048576"
        other = {**first, "offset": str(17 << 20), "size": "dynamic", "type": kind}
        if flags is not None:
            other["flags"] = flags
        document["segments"][number] = other
        document["digests"]["0"]["segments"].append(number)

    return altered(change)


AREAS = 2 * SIZE
KDF = ("keyslots", "0", "kdf")
PBKDF2 = each(
    set_in(*KDF, "type", value="pbkdf2"),
    set_in(*KDF, "hash", value="sha256"),
    set_in(*KDF, "iterations", value=1000),
)

LOAD: dict[str, Callable[[], bytes]] = {
    "invalid-checksum-hdr0": lambda: flip_checksum(headers.good(), 0),
    "invalid-checksum-hdr1": lambda: flip_checksum(headers.good(), 1),
    "corrupted-hdr0-with-correct-chks": lambda: garbage_json(0),
    "corrupted-hdr1-with-correct-chks": lambda: garbage_json(1),
    "correct-full-json0": lambda: filled(0),
    "argon2-leftover-params": lambda: altered(PBKDF2),
    "pbkdf2-leftover-params-0": lambda: altered(
        each(PBKDF2, set_in(*KDF, "type", value="argon2id"))
    ),
    "pbkdf2-leftover-params-1": lambda: altered(
        each(PBKDF2, set_in(*KDF, "type", value="argon2i"))
    ),
    # That of cryptsetup's own luks2_valid_hdr.img, of which all of its cases are made.
    "kdf-of-another-name": lambda: altered(set_in(*KDF, "type", value="argon2")),
    "uint64-max-segment-size": lambda: segment("size", str((1 << 64) - 512)),
    "segment-unknown-type": lambda: segment("type", "some_type"),
    "segment-two": lambda: second_segment("1"),
    "non-compact-json-token-0": lambda: broken(
        headers.both(json.dumps(headers.document(), indent=2).encode()), 1
    ),
    **{
        f"metadata-size-{size >> 10}k": lambda size=size: broken(headers.good(size), 1, size)
        for size in luks2.HEADER_SIZES
    },
    **{
        f"metadata-size-{size >> 10}k-secondary": lambda size=size: broken(
            headers.good(size), 0, size
        )
        for size in luks2.HEADER_SIZES
    },
}

REFUSE: dict[str, Callable[[], bytes]] = {
    "invalid-checksum-both-hdrs": lambda: flip_checksum(headers.good(), 0, 1),
    "non-null-byte-beyond-json0": lambda: text_altered(lambda text: text + b"\0X"),
    "non-null-bytes-beyond-json0": lambda: text_altered(lambda t: t + b"\0" * 99 + b"X" * 9),
    "missing-trailing-null-byte-json0": lambda: filled(1),
    "invalid-opening-char-json0": lambda: text_altered(lambda text: b" " + text),
    "invalid-object-type-json0": lambda: text_altered(lambda text: b"[" + text + b"]"),
    "overlapping-areas-c0-json0": lambda: altered(area_of("1", AREAS)),
    "overlapping-areas-c1-json0": lambda: altered(area_of("1", AREAS + 1, 1024)),
    "overlapping-areas-c2-json0": lambda: altered(area_of("1", AREAS + 131071)),
    "area-in-json-hdr-space-json0": lambda: altered(area_of("0", AREAS - 1)),
    "missing-keyslot-referenced-in-digest": lambda: altered(
        set_in("digests", "0", "keyslots", value=["0", "1", "2"])
    ),
    "missing-segment-referenced-in-digest": lambda: altered(
        set_in("digests", "0", "segments", value=["0", "1"])
    ),
    "missing-keyslot-referenced-in-token": lambda: altered(
        set_in("tokens", "0", "keyslots", value=["0", "5"])
    ),
    "keyslot-missing-digest": lambda: altered(set_in("digests", "0", "keyslots", value=["1"])),
    "keyslot-too-many-digests": lambda: altered(
        lambda d: d["digests"].update({"1": {**d["digests"]["0"], "keyslots": ["1"]}})
    ),
    "uint64-overflow-segment-size": lambda: segment("size", str(1 << 64)),
    "uint64-signed-segment-size": lambda: segment("size", "-512"),
    "segment-missing-type": lambda: altered(drop("segments", "0", "type")),
    "segment-wrong-type": lambda: segment("type", 42),
    "segment-missing-offset": lambda: altered(drop("segments", "0", "offset")),
    "segment-wrong-offset": lambda: segment("offset", "-42"),
    "segment-missing-size": lambda: altered(drop("segments", "0", "size")),
    "segment-wrong-size-0": lambda: segment("size", 4096),
    "segment-wrong-size-1": lambda: segment("size", "automatic"),
    "segment-wrong-size-2": lambda: segment("size", "511"),
    "segment-crypt-missing-encryption": lambda: altered(drop("segments", "0", "encryption")),
    "segment-crypt-wrong-encryption": lambda: segment("encryption", {}),
    "segment-crypt-missing-ivoffset": lambda: altered(drop("segments", "0", "iv_tweak")),
    "segment-crypt-wrong-ivoffset": lambda: segment("iv_tweak", "dynamic"),
    "segment-crypt-missing-sectorsize": lambda: altered(drop("segments", "0", "sector_size")),
    "segment-crypt-wrong-sectorsize-0": lambda: segment("sector_size", 1023),
    "segment-crypt-wrong-sectorsize-1": lambda: segment("sector_size", "4096"),
    "segment-crypt-wrong-sectorsize-2": lambda: segment("sector_size", -1024),
    "segment-wrong-flags": lambda: segment("flags", "hello"),
    "segment-wrong-flags-element": lambda: segment("flags", [42]),
    "segment-wrong-backup-key-0": lambda: second_segment("2", ["backup-x"]),
    "segment-wrong-backup-key-1": lambda: second_segment("268435472", ["backup-x"]),
    "segment-crypt-empty-encryption": lambda: segment("encryption", ""),
    "invalid-keyslots-size-c0": lambda: altered(
        set_in("config", "keyslots_size", value=str((16 << 20) - AREAS + 4096))
    ),
    "invalid-keyslots-size-c1": lambda: altered(
        set_in("config", "keyslots_size", value=str((8 << 20) - 512))
    ),
    "invalid-keyslots-size-c2": lambda: altered(
        set_in("config", "keyslots_size", value=str(2 * 131072 - 4096))
    ),
    "invalid-json-size-c0": lambda: altered(set_in("config", "json_size", value=str(SIZE))),
    "invalid-json-size-c1": lambda: altered(set_in("config", "json_size", value=str(SIZE - 8192))),
    "invalid-json-size-c2": lambda: broken(
        binary_field(headers.good(), 0, 8, (2 * SIZE).to_bytes(8, "big")), 1
    ),
    "metadata-size-64k-inv-area-c0": lambda: altered(area_of("0", 4096)),
    "metadata-size-64k-inv-area-c1": lambda: altered(area_of("1", AREAS + (8 << 20) - 4096)),
    "metadata-size-invalid": lambda: broken(
        binary_field(headers.good(), 0, 8, (SIZE + 4096).to_bytes(8, "big")), 1
    ),
    "metadata-size-invalid-secondary": lambda: broken(
        binary_field(headers.good(), 1, 8, (SIZE + 4096).to_bytes(8, "big")), 0
    ),
    "invalid-tokens": lambda: altered(set_in("tokens", value=42)),
    "invalid-top-objects": lambda: altered(
        each(set_in("tokens", value=[]), set_in("segments", value="x"), set_in("digests", value=1))
    ),
    "keyslot-invalid-area": lambda: altered(set_in("keyslots", "0", "area", value=42)),
    "keyslot-invalid-area-size": lambda: altered(area_of("0", AREAS, (1 << 64) - 1)),
    "keyslot-invalid-objects": lambda: altered(
        each(set_in(*KDF, value=42), set_in("keyslots", "0", "af", value=42))
    ),
    "keyslot-invalid-af": lambda: altered(set_in("keyslots", "0", "af", "type", value=42)),
    "crypt-segment-without-digest": lambda: altered(set_in("digests", "0", "segments", value=[])),
    "magic-both": lambda: broken(broken(headers.good(), 0), 1),
    "version-both": lambda: binary_field(
        binary_field(headers.good(), 0, 6, b"\0\3"), 1, 6, b"\0\3"
    ),
}


@pytest.mark.parametrize("case", LOAD)
def test_is_loaded(case):
    header = luks2.read(LOAD[case]())
    assert header.sequence == 3
    assert header.uuid == headers.UUID


@pytest.mark.parametrize("case", REFUSE)
def test_is_refused_with_one_error(case):
    with pytest.raises(HeaderBrokenError) as caught:
        luks2.read(REFUSE[case]())
    assert caught.value.reason


@pytest.mark.skipif(not shutil.which("cryptsetup", path="/usr/sbin:/sbin"), reason="no cryptsetup")
@pytest.mark.parametrize("case", [*LOAD, *REFUSE])
def test_cryptsetup_agrees(case, tmp_path):
    area = {**LOAD, **REFUSE}[case]()
    path = tmp_path / "header"
    path.write_bytes(area.ljust(32 << 20, b"\0"))
    command = ["/usr/sbin/cryptsetup", "luksDump", str(path)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert (done.returncode == 0) == (case in LOAD)


def test_the_higher_sequence_number_wins():
    old = headers.both(luks2_json.dump(headers.document()), sequence=1)
    new = headers.both(luks2_json.dump(headers.document()), sequence=2)
    assert luks2.read(old[:SIZE] + new[SIZE:]).copy == 1
    assert luks2.read(new[:SIZE] + old[SIZE:]).copy == 0


@given(at=st.integers(0, SIZE - 1), value=st.integers(0, 255))
def test_no_single_byte_can_change_unnoticed(at, value):
    area = bytearray(broken(headers.good(), 1))
    same = area[at] == value
    area[at] = value
    try:
        luks2.read(bytes(area))
    except HeaderBrokenError:
        assert not same
    else:
        assert same


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.floats(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    st.sampled_from(["keyslots", "tokens", "segments", "digests", "config"]),
    st.sampled_from(["", "0"]),
)
def test_any_json_is_read_or_refused_and_never_crashes(value, top, key):
    document = headers.document()
    if key:
        document[top][key] = value
    else:
        document[top] = value
    text = luks2_json.dump(document).ljust(12288, b"\0")
    # Another exception than ours fails the test.
    with contextlib.suppress(SealedImageError):
        assert luks2_json.parse(text, SIZE).segments


@given(st.binary(max_size=5000))
def test_any_bytes_are_refused(data):
    with pytest.raises(HeaderBrokenError):
        luks2.read(data)


def test_deep_nesting_is_refused():
    text = b'{"a":' + b"[" * 6000 + b"]" * 6000 + b"}\0"
    with pytest.raises(HeaderBrokenError):
        luks2_json.parse(text, SIZE)
