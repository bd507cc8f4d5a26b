# SPDX-License-Identifier: Apache-2.0
"""The examples of Documentation/admin-guide/device-mapper/dm-ima.rst, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2etrust_core.evidence.device_mapper import (
    DEVICE_RENAME,
    DEVICE_RESUME,
    TABLE_LOAD,
    DeviceRename,
    DmDevice,
    decode_dm,
)
from e2etrust_core.evidence.errors import ImaListError

LINEAR = b"name=linear1,uuid=,major=253,minor=0,minor_count=1,num_targets=4;" + b"".join(
    b"target_index=%d,target_begin=%d,target_len=2,target_name=linear,target_version=1.4.0,"
    b"device_name=7:0,start=512;" % (number, 2 * number)
    for number in range(4)
)
#: As the documentation's resumption has it; it is not that of the text that is shown for the load.
LINEAR_HASH = "4d73481ecce5eadba8ab084640d85bb9ca899af4d0a122989252a76efadc5b72"
VERITY = (
    b"dm_version=4.47.0;name=test-verity,uuid=,major=253,minor=2,minor_count=1,num_targets=1;"
    b"target_index=0,target_begin=0,target_len=1953120,target_name=verity,target_version=1.8.0,"
    b"hash_failed=V,verity_version=1,data_device_name=253:1,hash_device_name=253:0,"
    b"verity_algorithm=sha256,"
    b"root_digest=29cb87e60ce7b12b443ba6008266f3e41e93e403d7f298f8e3f316b29ff89c5e,"
    b"salt=e48da609055204e89ae53b655ca2216dd983cf3cb829f34f63a297d106d53e2d,"
    b"ignore_zero_blocks=n,check_at_most_once=n;"
)
DEVICE = b"name=root,uuid=,major=253,minor=0,minor_count=1,num_targets=%d;"


def test_documented_table_is_read():
    found = decode_dm(TABLE_LOAD, LINEAR)
    assert (found.device, found.count, found.first) == (DmDevice("linear1", ""), 4, 0)
    assert [one.type for one in found.targets] == ["linear"] * 4
    assert found.targets[3].attributes["target_begin"] == "6"


def test_verity_target_tells_its_root_digest():
    (target,) = decode_dm(TABLE_LOAD, VERITY).targets
    assert target.type == "verity"
    assert target.attributes["root_digest"].startswith("29cb87e6")


@pytest.mark.parametrize("prefix", [b"", b"sha256:"])
def test_resumption_tells_the_hash_of_what_was_loaded(prefix):
    found = decode_dm(
        DEVICE_RESUME,
        b"name=linear1,uuid=,major=253,minor=0,minor_count=1,num_targets=4;"
        b"active_table_hash=" + prefix + LINEAR_HASH.encode() + b";current_device_capacity=8;",
    )
    assert found.table == bytes.fromhex(LINEAR_HASH)


def test_resumption_of_a_device_without_a_measured_table():
    text = b"dm_version=4.47.0;name=a,uuid=;device_resume=no_data;current_device_capacity=0;"
    assert decode_dm(DEVICE_RESUME, text).table is None


def test_new_name_with_separators_in_it_is_read_as_it_is():
    found = decode_dm(
        DEVICE_RENAME,
        b"name=linear1,uuid=1234-5678,major=253,minor=0,minor_count=1,num_targets=1;"
        rb"new_name=linear\=2\;a\,b\\,new_uuid=1234-5678;current_device_capacity=2;",
    )
    expected = DmDevice("linear=2;a,b\\", "1234-5678")
    assert found == DeviceRename(DmDevice("linear1", "1234-5678"), expected)


def test_target_that_tells_nothing_has_no_type():
    """As ``zero`` and ``error``: the kernel writes no semicolon behind them."""
    text = b"target_index=0,target_begin=0,target_len=8,target_index=1,target_begin=8,target_len=8,"
    found = decode_dm(TABLE_LOAD, DEVICE % 2 + text)
    assert [one.type for one in found.targets] == ["", ""]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"dm_version=4.47.0;",
        b"name=root;",
        DEVICE % 1,
        DEVICE % 1 + b"target_name=linear;",
        DEVICE % 1 + b"target_index=0,target_name=linear;target_index=1,target_name=linear;",
        DEVICE % 3 + b"target_index=0,target_name=linear;target_index=2,target_name=linear;",
        DEVICE % 1 + b"target_index=0,target_name=linear,target_name=verity;",
        DEVICE % 1 + b"target_index=0,target_name=crypt,cipher_string=a,b;",
        DEVICE % 1 + b"target_index=0,target_name=x=y;",
        DEVICE % 1 + b"target_index=one,target_name=x;",
        DEVICE % 1 + b"target_index=0,target_name=x\\",
        DEVICE % 1 + b"target_index=0,target_name=\xff;",
        DEVICE % 1 + b"target_index=0,target_name=" + b"x" * 70_000,
    ],
)
def test_what_can_be_read_in_two_ways_is_not_read(text):
    with pytest.raises(ImaListError):
        decode_dm(TABLE_LOAD, text)


@given(st.sampled_from([TABLE_LOAD, DEVICE_RESUME, DEVICE_RENAME]), st.binary(max_size=300))
def test_any_bytes_are_decoded_or_refused(name, data):
    try:
        decode_dm(name, data)
    except ImaListError:
        pass


@given(st.text(max_size=40).filter(lambda text: "\0" not in text and text.isprintable()))
def test_every_name_is_read_as_it_was_escaped(name):
    escaped = "".join("\\" + char if char in "\\;,=" else char for char in name)
    text = f"name={escaped},uuid={escaped},num_targets=1;target_index=0,target_name=zero;"
    assert decode_dm(TABLE_LOAD, text.encode()).device == DmDevice(name, name)
