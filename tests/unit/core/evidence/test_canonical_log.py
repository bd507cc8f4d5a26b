# SPDX-License-Identifier: Apache-2.0
"""Canonical event logs in JSON, and systemd's log of what was measured after the firmware."""

from __future__ import annotations

import hashlib
import json

import pytest
import yaml

from e2etrust_core.appraisal.event_checks import check_events
from e2etrust_core.appraisal.policy_events import parse_events
from e2etrust_core.evidence.canonical_log import MAX_CANONICAL_LOG, parse_canonical_log
from e2etrust_core.evidence.errors import EventLogError
from e2etrust_core.evidence.event_log import Event, EventLog, parse_event_log
from e2etrust_core.evidence.events.kinds import CANONICAL, SYSTEMD
from e2etrust_core.evidence.events.text import covered_text
from e2etrust_core.evidence.later_log import events_quoted, joined
from e2etrust_core.evidence.replay import replay
from tests.vectors import vectors


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def phase(text: str, pcr: int = 11, **more) -> dict:
    """As systemd-pcrextend writes it."""
    return {
        "pcr": pcr,
        "digests": [{"hashAlg": "sha256", "digest": sha(text.encode()).hex()}],
        "content_type": "systemd",
        "content": {
            "string": text,
            "bootId": "0123456789abcdef0123456789abcdef",
            "timestamp": 1500000,
            "eventType": "phase",
        },
        **more,
    }


def sequence(*records: object) -> bytes:
    return b"".join(b"\x1e" + json.dumps(one).encode() + b"\n" for one in records)


PHASES = ("enter-initrd", "leave-initrd", "sysinit", "ready")
LATER = parse_canonical_log(sequence(*map(phase, PHASES)))
STUB = Event(11, 13, {"sha256": sha(b".linux\0")}, ".linux\0".encode("utf-16-le"))
FIRMWARE = EventLog(("sha256",), (STUB,), 0)


def refused(data: bytes) -> str:
    with pytest.raises(EventLogError) as caught:
        parse_canonical_log(data)
    return caught.value.reason


def test_records_of_systemd_are_events_whose_text_their_digest_covers():
    assert [event.kind for event in LATER.events] == [SYSTEMD] * 4
    assert [covered_text(event, "sha256") for event in LATER.events] == list(PHASES)


def test_string_that_was_not_measured_is_no_text():
    """Of a volume key systemd measures an HMAC, and tells what it is of."""
    key = phase("cryptsetup:root:1234", 15)
    key["digests"][0]["digest"] = "00" * 32
    (event,) = parse_canonical_log(sequence(key)).events
    assert covered_text(event, "sha256") is None


@pytest.mark.parametrize("write", [sequence, lambda *all: json.dumps(all).encode()])
def test_sequence_array_and_lines_are_one_log(write):
    lines = b"\n".join(json.dumps(phase(one)).encode() for one in PHASES)
    assert parse_canonical_log(write(*map(phase, PHASES))) == LATER
    assert parse_canonical_log(lines) == LATER


def test_measurement_into_an_nv_index_extends_no_pcr():
    record = phase("product-id:1")
    del record["pcr"]
    record["nv_index"] = 0x1D10200
    assert parse_canonical_log(sequence(record, phase("ready"))).events == (LATER.events[3],)


def test_empty_log_has_no_events():
    assert parse_canonical_log(b"").events == ()


def test_profile_and_unknown_contents():
    told = {"event_type": "EV_SEPARATOR", "event_data": "00000000"}
    separator = phase("x", 4, content_type="pcclient_std", content=told)
    coded = {**separator, "content": {**told, "event_data": "AAAAAA=="}}
    other = phase("x", 10, content_type="ima_template", content={"template_name": "ima-ng"})
    found = parse_canonical_log(sequence(separator, other, coded)).events
    assert [(one.kind, one.data) for one in found] == [
        (4, bytes(4)),
        (CANONICAL, b""),
        (4, bytes(4)),
    ]


def test_hash_that_is_not_known_is_left_out():
    record = phase("ready")
    record["digests"] += [{"hashAlg": "sha3-256", "digest": "00" * 32}]
    record["digests"] += [{"hashAlg": "sm3-256", "digest": "11" * 32}]
    (event,) = parse_canonical_log(sequence(record)).events
    assert sorted(event.digests) == ["sha256", "sm3_256"]


def altered(**fields) -> bytes:
    return sequence({**phase("ready"), **fields})


@pytest.mark.parametrize(
    "data",
    [
        b"no json",
        b"\xff\xfe",
        b"[1]",
        b"[" * 100_000,
        b"9" * 100_000,
        b'{"pcr":1,"pcr":2}',
        b'\x1e{"pcr":11',
        altered(pcr=24),
        altered(pcr=-1),
        altered(pcr=True),
        altered(pcr="11"),
        altered(pcr=11.0),
        altered(digests=[]),
        altered(digests=[{"hashAlg": "sha256"}]),
        altered(digests=[{"hashAlg": "sha256", "digest": "00"}]),
        altered(digests=[{"digest": "00" * 32}]),
        altered(digests=phase("a")["digests"] * 2),
        altered(digests=phase("a")["digests"] * 17),
        altered(content_type="pcclient_std", content={"event_type": 4, "event_data": "0"}),
        altered(content_type="pcclient_std", content={"event_type": 4, "event_data": [1]}),
        b" " * (MAX_CANONICAL_LOG + 1),
        b"1\n" * 40_000,
    ],
)
def test_what_is_no_such_log_is_refused(data):
    assert refused(data).startswith("canonical event log: ")


def pcr11(*texts: str) -> bytes:
    value = hashlib.sha256(bytes(32) + STUB.digests["sha256"]).digest()
    for text in texts:
        value = hashlib.sha256(value + sha(text.encode())).digest()
    return value


@pytest.mark.parametrize("count", range(5))
def test_log_that_grew_after_the_quote_counts_up_to_the_quote(count):
    quoted = {"sha256": {11: pcr11(*PHASES[:count]), 7: bytes(32)}}
    assert events_quoted(FIRMWARE, LATER, quoted, {}) == count
    assert replay(joined(FIRMWARE, LATER, count), "sha256")[11] == quoted["sha256"][11]


@pytest.mark.parametrize(
    "texts", [("ready",), ("leave-initrd", "enter-initrd"), (*PHASES, "final")]
)
def test_log_that_leads_to_another_value_counts_nowhere(texts):
    assert events_quoted(FIRMWARE, LATER, {"sha256": {11: pcr11(*texts)}}, {}) is None


def test_events_of_pcrs_that_are_not_quoted_count_all():
    assert events_quoted(FIRMWARE, LATER, {"sha256": {7: bytes(32)}}, {}) == 4


def test_rules_speak_of_what_systemd_measured():
    rules = [
        {"type": "EV_IPL", "pcr": 11, "text": [".linux"]},
        {"type": "systemd", "pcr": 11, "text": list(PHASES), "times": [1, 4]},
    ]
    asks = parse_events({"pcrs": [11], "rules": rules})
    assert check_events(asks, joined(FIRMWARE, LATER, 4), "p").accepted == 5


def test_a_published_log_in_this_form_is_the_binary_one():
    """tpm2-tools has the same boot in both forms."""
    home = vectors("public/eventlogs/tpm2-tools")
    records = yaml.safe_load((home / "event-moklisttrusted-hex.yaml").read_text())
    found = parse_canonical_log(json.dumps(records).encode())
    assert found == parse_event_log((home / "event-moklisttrusted.bin").read_bytes())
