# SPDX-License-Identifier: Apache-2.0
"""What Windows measures by tag, one within the other."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2etrust_core.appraisal.errors import EventRefused, EventUnknown
from e2etrust_core.appraisal.event_checks import check_events
from e2etrust_core.appraisal.policy_events import parse_events
from e2etrust_core.evidence.errors import EventLogError
from e2etrust_core.evidence.event_log import Event, EventLog
from e2etrust_core.evidence.events.description import describe
from e2etrust_core.evidence.events.kinds import EV_EVENT_TAG
from e2etrust_core.evidence.events.sipa import Measured, decode_measured
from e2etrust_core.evidence.events.tags import MAX_TAGS

BOUNDARY, MODULE = 0x40010001, 0x40010003
TEST_SIGNING, IMAGE_SIZE = 0x00050003, 0x00070002


def tag(kind: int, data: bytes = b"", size: int | None = None) -> bytes:
    claimed = len(data) if size is None else size
    return kind.to_bytes(4, "little") + claimed.to_bytes(4, "little") + data


def measured(data: bytes) -> Event:
    return Event(12, EV_EVENT_TAG, {"sha256": hashlib.sha256(data).digest()}, data)


BOOT = tag(BOUNDARY, tag(TEST_SIGNING, b"\0") + tag(MODULE, tag(IMAGE_SIZE, b"\0\x10" + bytes(6))))


def test_events_within_containers_are_told_in_their_order():
    assert decode_measured(BOOT) == (
        Measured("SIPAEVENT_TRUSTBOUNDARY", b""),
        Measured("SIPAEVENT_TESTSIGNING", b"\0"),
        Measured("SIPAEVENT_LOADEDMODULE_AGGREGATION", b""),
        Measured("SIPAEVENT_IMAGESIZE", b"\0\x10" + bytes(6)),
    )
    told = describe(measured(BOOT), "sha256")
    assert told.covered == "event"
    assert told.words.startswith("SIPAEVENT_TRUSTBOUNDARY, SIPAEVENT_TESTSIGNING 00, ")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (0x00020005, "SIPAEVENT_BITLOCKER_UNLOCK"),
        (0x00040002, "SIPAEVENT_BOOT_REVOCATION_LIST"),
        (0x0005000F, "SIPAEVENT_SI_POLICY"),
        (0x0007000A, "SIPAEVENT_IMAGEVALIDATED"),
        (0x000A0007, "SIPAEVENT_VBS_HVCI_POLICY"),
        (0x80080003, "SIPAEVENT_AIKID"),
        (0x00059999, "0x00059999"),
    ],
)
def test_events_are_named_as_the_windows_sdk_names_them(kind, name):
    assert decode_measured(tag(kind, b"1")) == (Measured(name, b"1"),)


def test_gigabyte_that_a_tag_claims_is_refused_unallocated():
    for data in (tag(BOUNDARY, b"", 1 << 30), tag(BOUNDARY, tag(TEST_SIGNING, b"\0", 1 << 30))):
        with pytest.raises(EventLogError, match="are left"):
            decode_measured(data)


def test_containers_nested_a_hundred_deep_are_refused():
    data = tag(TEST_SIGNING, b"\0")
    for _ in range(100):
        data = tag(BOUNDARY, data)
    with pytest.raises(EventLogError, match="within each other"):
        decode_measured(data)


def test_more_events_than_anybody_measures_are_refused():
    with pytest.raises(EventLogError, match="more than"):
        decode_measured(tag(BOUNDARY, tag(MODULE) * MAX_TAGS))


def rule(**fields) -> dict:
    return {"type": "EV_EVENT_TAG", "pcr": 12, **fields}


def check(data: bytes, **fields) -> int:
    asks = parse_events({"pcrs": [12], "rules": [rule(**fields)]})
    return check_events(asks, EventLog(("sha256",), (measured(data),), 0), "p").accepted


def test_rule_asks_for_values_within_containers():
    signed_only = {"tag": ["SIPAEVENT_TESTSIGNING=00"]}
    assert check(BOOT, has=signed_only) == 1
    with pytest.raises(EventRefused):
        check(tag(BOUNDARY, tag(TEST_SIGNING, b"\1")), has=signed_only)


def test_error_within_a_container_is_the_events():
    """What stands before it is not believed by itself."""
    data = tag(BOUNDARY, tag(TEST_SIGNING, b"\0") + b"\1\2\3")
    with pytest.raises(EventLogError):
        decode_measured(data)
    with pytest.raises(EventUnknown):
        check(data, has={"tag": ["SIPAEVENT_TESTSIGNING=00"]})


@given(st.binary(max_size=200))
def test_any_bytes_are_tags_or_one_clear_error(data):
    for one in (data, tag(BOUNDARY, data), tag(BOUNDARY, tag(MODULE, data))):
        try:
            decode_measured(one)
        except EventLogError:
            pass
