# SPDX-License-Identifier: Apache-2.0
"""Boot entries, partition tables, firmware and tags: decoded, and told with what covers them."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2etrust_core.evidence.errors import EventLogError
from e2etrust_core.evidence.event_log import Event, parse_event_log
from e2etrust_core.evidence.events import kinds
from e2etrust_core.evidence.events.boot_entries import decode_boot_order, decode_load_option
from e2etrust_core.evidence.events.description import describe
from e2etrust_core.evidence.events.device_path import path_texts
from e2etrust_core.evidence.events.firmware import (
    decode_firmware_blob,
    decode_firmware_blob2,
    decode_handoff_tables,
    decode_handoff_tables2,
)
from e2etrust_core.evidence.events.partitions import decode_partition_table
from e2etrust_core.evidence.events.tags import decode_tags
from tests.unit.core.evidence.events.test_against_tpm2_eventlog import logs, names
from tests.unit.core.evidence.events.test_decoding import node, variable

END = node(0x7F, 0xFF, b"")
FILE = node(4, 4, "\\EFI\\BOOT\\BOOTX64.EFI\0".encode("utf-16-le"))
TABLE = UUID("77fa9abd-0359-4d32-bd60-28f4e78f784b")


def u(value: int, size: int) -> bytes:
    return value.to_bytes(size, "little")


def option(description: str, path: bytes, *, attributes: int = 1, data: bytes = b"") -> bytes:
    words = (description + "\0").encode("utf-16-le")
    return u(attributes, 4) + u(len(path), 2) + words + path + data


def measured(kind: int, data: bytes, pcr: int = 1) -> Event:
    return Event(pcr, kind, {"sha256": hashlib.sha256(data).digest()}, data)


def test_boot_entry_is_read_with_path_and_what_is_handed_over():
    found = decode_load_option(option("Debian", FILE + END, data=b"quiet"))
    assert (found.description, found.active, found.hidden) == ("Debian", True, False)
    assert found.paths == ("\\EFI\\BOOT\\BOOTX64.EFI",)
    assert found.optional_data == b"quiet"


def test_boot_order_is_read_and_half_a_number_refused():
    assert decode_boot_order(u(3, 2) + u(0x1F, 2)) == (3, 0x1F)
    with pytest.raises(EventLogError):
        decode_boot_order(b"\0\0\1")


@pytest.mark.parametrize("cut", [1, 5, 20, 40])
def test_boot_entry_that_is_cut_is_refused(cut):
    with pytest.raises(EventLogError):
        decode_load_option(option("Debian", FILE + END)[:-cut])


def test_paths_that_differ_never_look_alike():
    """A name with a separator in it is not the path that it imitates."""
    sly = node(4, 4, "a/\\b\0".encode("utf-16-le")) + END
    true = node(4, 4, "a\0".encode("utf-16-le")) + node(4, 4, "\\b\0".encode("utf-16-le")) + END
    assert path_texts(sly) != path_texts(true)


def test_what_has_no_exact_text_is_shown_as_its_bytes():
    assert path_texts(node(3, 0x12, b"\1\2") + END) == ("Path(3,18,0102)",)


@pytest.mark.parametrize("path", [b"\4\4\3\0", b"\4\4\xff\xff", node(4, 4, b"") * 300])
def test_path_that_does_not_fit_is_refused(path):
    with pytest.raises(EventLogError):
        path_texts(path)


def test_partition_table_is_as_sgdisk_made_it(tmp_path):
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(8 * 1024 * 1024))
    subprocess.run(
        ["sgdisk", "-n", "1:2048:4095", "-t", "1:ef00", "-c", "1:EFI System"]
        + ["-n", "2:4096:8191", "-c", "2:r\u00f6\u00f6t", str(disk)],
        check=True,
        capture_output=True,
    )
    raw = disk.read_bytes()
    table = raw[512 : 512 + 92] + u(2, 8) + raw[1024 : 1024 + 256]
    found = decode_partition_table(table)
    shown = subprocess.run(
        ["sgdisk", "-p", "-i", "1", str(disk)], check=True, capture_output=True, text=True
    ).stdout
    assert str(found.disk).upper() in shown
    assert str(found.partitions[0].unique).upper() in shown
    assert str(found.partitions[0].kind) == "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
    assert [(one.first, one.last, one.name) for one in found.partitions] == [
        (2048, 4095, "EFI System"),
        (4096, 8191, "r\u00f6\u00f6t"),
    ]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"x" + data[1:],
        lambda data: data[:100],
        lambda data: data[:84] + u(2**31, 4) + data[88:],
        lambda data: data[:92] + u(2**40, 8) + data[100:],
        lambda data: data[:92] + u(3, 8) + data[100:],
    ],
)
def test_partition_table_of_impossible_sizes_is_refused_unallocated(damage):
    head = b"EFI PART" + bytes(48) + TABLE.bytes_le + bytes(12) + u(128, 4) + bytes(4)
    good = head + u(1, 8) + bytes(128)
    assert len(decode_partition_table(good).partitions) == 1
    with pytest.raises(EventLogError):
        decode_partition_table(damage(good))


def test_firmware_and_tables_are_told_with_their_names():
    blob = decode_firmware_blob2(b"\5DXEFV" + u(0xFF000000, 8) + u(0x20000, 8))
    assert (blob.description, blob.address, blob.length) == ("DXEFV", 0xFF000000, 0x20000)
    assert decode_firmware_blob(u(1, 8) + u(2, 8)).length == 2
    tables = TABLE.bytes_le + u(0x1000, 8)
    assert decode_handoff_tables(u(1, 8) + tables).tables == ((TABLE, 0x1000),)
    assert decode_handoff_tables2(b"\1S" + u(1, 8) + tables).description == "S"


@pytest.mark.parametrize("data", [u(2, 8), u(2**60, 8), u(1, 8) + bytes(23), u(1, 8) + bytes(25)])
def test_tables_of_impossible_sizes_are_refused(data):
    with pytest.raises(EventLogError):
        decode_handoff_tables(data)


def test_tags_are_named_and_sizes_that_do_not_fit_refused():
    found = decode_tags(u(0xF5BC582A, 4) + u(3, 4) + b"abc" + u(7, 4) + u(0, 4))
    assert [(tag.name, tag.data) for tag in found] == [("loader.conf", b"abc"), ("0x00000007", b"")]
    for data in (b"", u(1, 4) + u(9, 4) + b"abc", u(1, 4)):
        with pytest.raises(EventLogError):
            decode_tags(data)


# --- in words ---------------------------------------------------------------------------------


def test_boot_entry_in_words_is_covered_by_its_digest():
    data = variable("Boot0001", option("Debian", FILE + END))
    told = describe(measured(kinds.EV_EFI_VARIABLE_BOOT, data), "sha256")
    assert told.covered == "event"
    assert told.words == "Boot0001 = Debian: \\EFI\\BOOT\\BOOTX64.EFI"


def test_words_that_no_digest_is_of_are_told_to_be_a_story():
    data = variable("Boot0001", option("Debian", FILE + END))
    event = Event(1, kinds.EV_EFI_VARIABLE_BOOT, {"sha256": bytes(32)}, data)
    assert describe(event, "sha256").covered == "nothing"
    assert describe(event, "sha1").covered is None


def test_data_that_cannot_be_decoded_is_shown_as_bytes_with_the_reason():
    words = describe(measured(kinds.EV_EFI_GPT_EVENT, b"\1\2\3"), "sha256").words
    assert words == "010203 (partition table cut off at byte 0: 8 bytes are due, 3 are left)"


def test_name_of_what_was_measured_is_told_as_the_logs_story():
    named = Event(14, kinds.EV_IPL, {"sha256": bytes(32)}, b"MokListTrusted\0")
    told = describe(named, "sha256")
    assert (told.covered, told.words) == ("nothing", "MokListTrusted")
    measured_text = describe(measured(kinds.EV_IPL, b"quiet ro"), "sha256")
    assert (measured_text.covered, measured_text.words) == ("text", '"quiet ro"')


@given(st.binary(max_size=300), st.sampled_from(sorted(kinds.NAMES)))
def test_any_event_is_told_in_one_printable_line(data, kind):
    told = describe(measured(kind, data), "sha256")
    assert told.words.isprintable()
    assert len(told.words) <= 200


@pytest.fixture(params=logs(), ids=names)
def log(request) -> Path:
    return request.param


def test_every_boot_entry_partition_table_and_tag_of_real_machines_is_read(log):
    """Bytes are what is shown where nothing could be decoded."""
    parsed = parse_event_log(log.read_bytes())
    due = {
        kinds.EV_EFI_GPT_EVENT,
        kinds.EV_EFI_GPT_EVENT2,
        kinds.EV_EFI_HANDOFF_TABLES,
        kinds.EV_EFI_PLATFORM_FIRMWARE_BLOB,
        kinds.EV_EFI_PLATFORM_FIRMWARE_BLOB2,
        kinds.EV_EVENT_TAG,
        *kinds.VARIABLE_KINDS,
    }
    for event in parsed.events:
        if event.kind in due and event.data:
            told = describe(event, parsed.banks[-1])
            assert not told.words.startswith(event.data[:8].hex()), (told, event.data[:64])
