# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2etrust_core.evidence.errors import EventLogError
from e2etrust_core.evidence.event_log import EV_NO_ACTION, Event
from e2etrust_core.evidence.events.coverage import coverage
from e2etrust_core.evidence.events.images import decode_image_load, files_of
from e2etrust_core.evidence.events.kinds import EV_EFI_VARIABLE_DRIVER_CONFIG, name_of_kind
from e2etrust_core.evidence.events.variables import (
    CERT_SHA256,
    EFI_GLOBAL,
    decode_signature_lists,
    decode_variable,
)

OWNER = UUID("77fa9abd-0359-4d32-bd60-28f4e78f784b")


def variable(name: str, data: bytes, vendor: UUID = EFI_GLOBAL) -> bytes:
    head = vendor.bytes_le + len(name).to_bytes(8, "little") + len(data).to_bytes(8, "little")
    return head + name.encode("utf-16-le") + data


def signature_list(*hashes: bytes, header: bytes = b"", size: int | None = None) -> bytes:
    body = header + b"".join(OWNER.bytes_le + one for one in hashes)
    sizes = (28 + len(body) if size is None else size, len(header), 16 + 32)
    return CERT_SHA256.bytes_le + b"".join(s.to_bytes(4, "little") for s in sizes) + body


def node(kind: int, sub_kind: int, body: bytes) -> bytes:
    return bytes([kind, sub_kind]) + (4 + len(body)).to_bytes(2, "little") + body


def test_secure_boot_of_length_0_is_an_absent_variable():
    assert decode_variable(variable("SecureBoot", b"")).data == b""


@pytest.mark.parametrize("cut", [1, 4, 20, 40])
def test_cut_variable_is_refused(cut):
    with pytest.raises(EventLogError):
        decode_variable(variable("SecureBoot", b"\1")[:-cut])


def test_bytes_behind_a_variable_are_told_and_are_not_its_data():
    found = decode_variable(variable("SecureBoot", b"\1") + b"x")
    assert (found.data, found.extra) == (b"\1", b"x")


@pytest.mark.parametrize("at", [16, 24])
def test_variable_of_a_claimed_giant_size_is_refused_unallocated(at):
    data = bytearray(variable("SecureBoot", b"\1"))
    data[at : at + 8] = (2**40).to_bytes(8, "little")
    with pytest.raises(EventLogError):
        decode_variable(bytes(data))


def test_hashes_of_two_lists_come_in_their_order():
    data = signature_list(b"a" * 32, b"b" * 32) + signature_list(b"c" * 32)
    found = decode_signature_lists(data)
    assert [one.data for one in found] == [b"a" * 32, b"b" * 32, b"c" * 32]
    assert {one.owner for one in found} == {OWNER}


def test_signature_size_larger_than_its_list_is_refused():
    data = bytearray(signature_list(b"a" * 32))
    data[24:28] = (4096).to_bytes(4, "little")
    with pytest.raises(EventLogError):
        decode_signature_lists(bytes(data))


def test_signature_header_that_eats_the_list_is_refused():
    data = bytearray(signature_list(b"a" * 32))
    data[20:24] = (16 + 32).to_bytes(4, "little")
    with pytest.raises(EventLogError):
        decode_signature_lists(bytes(data))


def test_bytes_of_a_vendor_header_are_never_taken_as_hashes():
    found = decode_signature_lists(signature_list(b"a" * 32, header=b"evil" * 12))
    assert [one.data for one in found] == [b"a" * 32]


@pytest.mark.parametrize("size", [0, 27, 2**32 - 1])
def test_list_of_an_impossible_size_is_refused(size):
    with pytest.raises(EventLogError):
        decode_signature_lists(signature_list(b"a" * 32, size=size))


def test_files_of_a_device_path_are_named():
    name = "\\EFI\\debian\\shimx64.efi\0".encode("utf-16-le")
    path = node(4, 1, bytes(38)) + node(4, 4, name) + node(0x7F, 0xFF, b"")
    assert files_of(path) == ("\\EFI\\debian\\shimx64.efi",)
    sizes = [0x1000, 0x2000, 0, len(path)]
    data = b"".join(one.to_bytes(8, "little") for one in sizes) + path
    assert decode_image_load(data).files == ("\\EFI\\debian\\shimx64.efi",)


@pytest.mark.parametrize(
    "path", [b"\4\4\3\0", b"\4\4\0\0", b"\4\4\xff\xff", b"\4\4", b"\4\4\6\0ab"]
)
def test_broken_device_path_is_refused(path):
    with pytest.raises(EventLogError):
        files_of(path)


def test_altered_data_under_the_old_digest_is_not_covered():
    true = variable("SecureBoot", b"\0")
    digests = {"sha256": hashlib.sha256(true).digest()}
    said = variable("SecureBoot", b"\1")
    assert coverage(Event(7, EV_EFI_VARIABLE_DRIVER_CONFIG, digests, true), "sha256") == "event"
    assert coverage(Event(7, EV_EFI_VARIABLE_DRIVER_CONFIG, digests, said), "sha256") == "nothing"


def test_digest_over_the_variables_data_covers_no_name():
    digests = {"sha256": hashlib.sha256(b"\1").digest()}
    event = Event(7, EV_EFI_VARIABLE_DRIVER_CONFIG, digests, variable("SecureBoot", b"\1"))
    assert coverage(event, "sha256") == "variable"
    renamed = Event(7, EV_EFI_VARIABLE_DRIVER_CONFIG, digests, variable("Other", b"\1", uuid4()))
    assert coverage(renamed, "sha256") == "variable"


def test_informative_event_and_missing_bank_are_not_covered():
    digests = {"sha256": hashlib.sha256(b"x").digest()}
    assert coverage(Event(0, EV_NO_ACTION, digests, b"x"), "sha256") == "nothing"
    assert coverage(Event(0, 8, digests, b"x"), "sha384") == "nothing"


def test_unknown_type_is_named_by_its_number():
    assert name_of_kind(0xA0000001) == "0xa0000001"


@given(st.binary(max_size=300))
def test_any_bytes_decode_or_give_one_clear_error(noise):
    for decode in (decode_variable, decode_signature_lists, decode_image_load, files_of):
        try:
            decode(noise)
        except EventLogError:
            pass
