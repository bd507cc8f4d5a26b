# SPDX-License-Identifier: Apache-2.0
"""Boot entries, device paths, partition tables, firmware and tags in an event log."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2etrust_core.evidence.errors import EventLogError
from e2etrust_core.evidence.events.boot_entries import (
    decode_boot_order,
    decode_load_option,
    is_boot_entry,
)
from e2etrust_core.evidence.events.device_path import path_texts
from e2etrust_core.evidence.events.firmware import (
    decode_firmware_blob,
    decode_firmware_blob2,
    decode_handoff_tables,
    decode_handoff_tables2,
)
from e2etrust_core.evidence.events.partitions import decode_partition_table
from e2etrust_core.evidence.events.tags import decode_tags
from e2etrust_core.evidence.events.variables import EFI_GLOBAL, SHIM_LOCK, EfiVariable
from tests.unit.core.evidence.events.test_decoding import node

ESP = UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
DISK = UUID("7bb73385-40b7-462f-a5fd-4e4b67e399a3")
END = node(0x7F, 0xFF, b"")
DECODERS = [
    path_texts,
    decode_load_option,
    decode_boot_order,
    decode_partition_table,
    decode_firmware_blob,
    decode_firmware_blob2,
    decode_handoff_tables,
    decode_handoff_tables2,
    decode_tags,
]


def le(value: int, size: int) -> bytes:
    return value.to_bytes(size, "little")


def closed(text: str) -> bytes:
    return text.encode("utf-16-le") + b"\0\0"


def hard_drive(guid: UUID = DISK) -> bytes:
    return node(4, 1, le(1, 4) + le(0x800, 8) + le(0xFA000, 8) + guid.bytes_le + b"\2\2")


def load_option(path: bytes, optional: bytes = b"", attributes: int = 1) -> bytes:
    return le(attributes, 4) + le(len(path), 2) + closed("debian") + path + optional


def table(*kinds: UUID, size: int = 128, count: int | None = None) -> bytes:
    head = b"EFI PART" + bytes(48) + DISK.bytes_le + bytes(12) + le(size, 4) + bytes(4)
    entries = b"".join(
        (kind.bytes_le + DISK.bytes_le + le(34, 8) + le(99, 8) + bytes(8) + b"E\0S\0P\0").ljust(
            size, b"\0"
        )
        for kind in kinds
    )
    return head + le(len(kinds) if count is None else count, 8) + entries


def test_boot_entry_says_what_it_starts_and_with_which_data():
    path = hard_drive() + node(4, 4, closed("\\EFI\\debian\\shimx64.efi")) + END
    found = decode_load_option(load_option(path, b"quiet"))
    assert found.paths == (f"HD(1,GPT,{DISK},0x800,0xfa000)/\\EFI\\debian\\shimx64.efi",)
    assert (found.description, found.optional_data) == ("debian", b"quiet")
    assert found.active
    assert not found.hidden


def test_boot_entries_are_told_by_vendor_and_name():
    assert is_boot_entry(EfiVariable(EFI_GLOBAL, "Boot00AF", b""))
    assert not is_boot_entry(EfiVariable(EFI_GLOBAL, "BootOrder", b""))
    assert not is_boot_entry(EfiVariable(SHIM_LOCK, "Boot0001", b""))


def test_boot_order_is_in_its_order():
    assert decode_boot_order(b"\3\0\1\0\xaf\0") == (3, 1, 0xAF)
    with pytest.raises(EventLogError):
        decode_boot_order(b"\3\0\1")


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (
            node(2, 1, bytes.fromhex("d041030a00000000")) + node(1, 1, b"\2\x1f"),
            "PciRoot(0x0)/Pci(0x1f,0x2)",
        ),
        (node(3, 18, le(2, 2) + le(0xFFFF, 2) + le(0, 2)), "Sata(0x2,0xffff,0x0)"),
        (node(3, 23, le(1, 4) + bytes(range(8))), "NVMe(0x1,00-01-02-03-04-05-06-07)"),
        (node(3, 24, b"http://boot/x"), "Uri(http:%002f%002fboot%002fx)"),
        (node(4, 7, ESP.bytes_le), f"Fv({ESP})"),
        (node(9, 9, b"\1\2"), "Path(9,9,0102)"),
        # No text is exact here: too long, not closed, no UTF-16, bytes behind the name.
        (node(1, 1, b"\2\x1f\0"), "Path(1,1,021f00)"),
        (node(4, 4, b"a\0"), "Path(4,4,6100)"),
        (node(4, 4, b"\0\xd8\0\0"), "Path(4,4,00d80000)"),
        (node(4, 4, closed("a") + b"b\0"), "Path(4,4,610000006200)"),
        (node(4, 4, closed("a")) + node(0x7F, 1, b"") + node(4, 4, closed("b")), "a,b"),
    ],
)
def test_paths_are_written_as_uefi_writes_them(raw, text):
    assert path_texts(raw + END) == (text,)


def test_no_name_of_a_file_looks_like_another_path():
    two = path_texts(node(4, 4, closed("a")) + node(4, 4, closed("b")) + END)
    one = path_texts(node(4, 4, closed("a/b")) + END)
    assert two == ("a/b",)
    assert one == ("a%002fb",)
    assert path_texts(node(4, 4, closed("%002f")) + END) == ("%0025002f",)


def test_partition_table_names_disk_and_partitions():
    found = decode_partition_table(table(ESP) + b"x")
    assert (found.disk, found.extra) == (DISK, b"x")
    assert [(p.kind, p.unique, p.first, p.last, p.name) for p in found.partitions] == [
        (ESP, DISK, 34, 99, "ESP")
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        table(ESP)[1:],
        table(ESP)[:-1],
        table(ESP, count=2**40),
        table(size=2**31, count=1),
        table(size=0, count=1000),
    ],
)
def test_partition_table_that_does_not_fit_is_refused(data):
    with pytest.raises(EventLogError):
        decode_partition_table(data)


def test_firmware_and_tables_are_told_by_what_they_are_called():
    blob = decode_firmware_blob2(b"\4FV_M" + le(0xFF000000, 8) + le(16, 8))
    assert (blob.address, blob.length, blob.description) == (0xFF000000, 16, "FV_M")
    tables = decode_handoff_tables2(b"\2S\0" + le(1, 8) + ESP.bytes_le + le(7, 8))
    assert (tables.tables, tables.description) == (((ESP, 7),), "S")
    for wrong in (le(2**40, 8), le(1, 8), le(0, 8) + b"x"):
        with pytest.raises(EventLogError):
            decode_handoff_tables(wrong)


def test_tags_come_one_behind_the_other():
    conf = "loader.conf".encode("utf-16-le")
    found = decode_tags(le(0xF5BC582A, 4) + le(len(conf), 4) + conf + le(1, 4) + le(0, 4))
    assert [tag.name for tag in found] == ["loader.conf", "0x00000001"]
    for wrong in (b"", b"\1\0\0\0\xff\xff\xff\xff"):
        with pytest.raises(EventLogError):
            decode_tags(wrong)


def test_endless_nodes_and_tags_are_refused():
    with pytest.raises(EventLogError):
        path_texts(node(1, 1, b"\0\0") * 1000)
    with pytest.raises(EventLogError):
        decode_tags(bytes(8) * 5000)


@given(st.sampled_from(DECODERS), st.binary(max_size=300))
def test_any_bytes_are_decoded_or_one_clear_error(decode, noise):
    for data in (noise, load_option(noise), table(ESP) + noise):
        try:
            decode(data)
        except EventLogError:
            pass
