# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2etrust_core.evidence.errors import EventLogBankAbsent, EventLogError
from e2etrust_core.evidence.event_log import (
    EV_EFI_HCRTM_EVENT,
    EV_NO_ACTION,
    EVTYPE_PCRMAPPING,
    parse_event_log,
)
from e2etrust_core.evidence.events.kinds import EVTYPE_HASH_START, EVTYPE_MLE_HASH
from e2etrust_core.evidence.model import MAX_EVENT_LOG
from e2etrust_core.evidence.replay import replay
from tests.unit.core.event_log_writer import agile_log, event, spec_id
from tests.vectors import ROOT, vectors

D1, D2 = b"\1" * 32, b"\2" * 32


def extended(start: bytes, *digests: bytes) -> bytes:
    for digest in digests:
        start = hashlib.sha256(start + digest).digest()
    return start


def refused(data: bytes) -> str:
    with pytest.raises(EventLogError) as caught:
        parse_event_log(data)
    return caught.value.reason


def test_replay_extends_each_pcr_in_order():
    log = parse_event_log(agile_log(event(0, 8, D1), event(7, 1, D2), event(0, 8, D2)))
    values = replay(log, "sha256")
    assert values[0] == extended(bytes(32), D1, D2)
    assert values[7] == extended(bytes(32), D2)
    assert values[3] == bytes(32)


def test_informative_event_extends_nothing():
    log = parse_event_log(agile_log(event(0, EV_NO_ACTION, D1)))
    assert replay(log, "sha256")[0] == bytes(32)


@pytest.mark.parametrize("locality", [0, 3, 4])
def test_startup_locality_is_where_pcr_0_starts(locality):
    note = event(0, EV_NO_ACTION, bytes(32), b"StartupLocality\0" + bytes([locality]))
    log = parse_event_log(agile_log(note, event(0, 8, D1)))
    assert replay(log, "sha256")[0] == extended(bytes(31) + bytes([locality]), D1)


def test_launch_measurement_seeds_pcr_0():
    log = parse_event_log(agile_log(event(0, 8, D1)))
    assert replay(log, "sha256", seed_pcr0=D2)[0] == extended(D2, D1)


def test_room_behind_the_startup_locality_is_no_part_of_it():
    """coreboot's events are all of one size."""
    note = event(0, EV_NO_ACTION, bytes(32), b"StartupLocality\0\3" + bytes(33))
    log = parse_event_log(agile_log(note, event(0, 8, D1)))
    assert replay(log, "sha256")[0] == extended(bytes(31) + b"\3", D1)


@pytest.mark.parametrize("data", [b"\5", b"", b"\0\3"])
def test_impossible_startup_locality_is_refused(data):
    refused(agile_log(event(0, EV_NO_ACTION, bytes(32), b"StartupLocality\0" + data)))


def test_second_startup_locality_is_refused():
    note = event(0, EV_NO_ACTION, bytes(32), b"StartupLocality\0\3")
    refused(agile_log(note, note))


def test_bank_that_is_not_logged_is_named():
    with pytest.raises(EventLogBankAbsent, match="sha384"):
        replay(parse_event_log(agile_log()), "sha384")


def test_claimed_event_size_beyond_the_log_is_refused_unallocated():
    body = event(0, 8, D1)[:-4] + (0x47EFBFBD).to_bytes(4, "little")
    assert "are left" in refused(agile_log(body))


def test_four_billion_algorithms_are_refused():
    header = bytearray(spec_id())
    header[24:28] = b"\xff" * 4
    assert "algorithms" in refused(agile_log(header=bytes(header)))


def test_header_version_1_2_under_spec_id_03_is_refused():
    header = bytearray(spec_id())
    header[20:22] = b"\2\1"
    assert "1.2" in refused(agile_log(header=bytes(header)))


def test_vendor_bytes_that_the_headers_size_leaves_out_are_no_event():
    outside = event(0, 8, D2)
    header = spec_id(vendor=outside)[: -len(outside)]
    log = parse_event_log(agile_log(outside, event(0, 8, D1), header=header))
    assert [e.digests for e in log.events] == [{"sha256": D1}]


def test_vendor_bytes_that_are_half_inside_the_headers_size_are_refused():
    refused(agile_log(header=spec_id(vendor=b"abcd")[:-2]) + b"cd" + event(0, 8, D1))


@pytest.mark.parametrize("padding", [1, 3, 4, 40, 4096])
def test_zeros_behind_the_last_event_are_no_event(padding):
    log = agile_log(event(0, 8, D1), event(7, 4, D2, bytes(4)))
    assert parse_event_log(log + bytes(padding)) == parse_event_log(log)


def test_zeros_behind_the_last_event_of_a_sha1_log_are_no_event():
    only = bytes(4) + b"\x08\0\0\0" + b"\1" * 20 + b"\4\0\0\0" + bytes(4)
    assert len(parse_event_log(only).events) == 1
    assert parse_event_log(only + bytes(320)) == parse_event_log(only)


@pytest.mark.parametrize("padding", [b"\xff", b"\xff" * 4, b"\xff" * 4096, b"\xff\0" * 40])
@pytest.mark.parametrize("last", [b"", bytes(4), b"\xff" * 4])
def test_erased_room_behind_the_last_event_is_no_event(padding, last):
    """Flash that was erased in part, behind zeros or before them, too."""
    log = agile_log(event(0, 8, D1), event(7, 4, b"\xff" * 32, last))
    assert len(parse_event_log(log).events) == 2
    assert parse_event_log(log + padding) == parse_event_log(log)
    assert parse_event_log(log + padding + bytes(64)) == parse_event_log(log)


def test_event_behind_erased_room_is_not_overlooked():
    refused(agile_log(event(0, 8, D1)) + b"\xff" * 64 + event(0, 8, D2))


def test_log_of_a_dynamic_launch_behind_the_firmwares_is_read_with_its_own_header():
    """As from tboot or Linux: the firmware's log, then another with its own Spec ID event."""
    launch = agile_log(event(17, EVTYPE_HASH_START, D1), event(18, EVTYPE_MLE_HASH, D2))
    log = parse_event_log(agile_log(event(0, 8, D1)) + launch)
    assert [one.pcr for one in log.events] == [0, 17, 18]
    assert replay(log, "sha256")[17] == extended(bytes(32), D1)
    other = spec_id(algorithms=b"\1\0\0\0\x12\0\x20\0", vendor=b"txt")
    sm3 = event(17, EVTYPE_HASH_START, D2).replace(b"\x0b\0", b"\x12\0", 1)
    log = parse_event_log(agile_log(event(0, 8, D1)) + agile_log(sm3, header=other))
    assert log.banks == ("sha256", "sm3_256")
    assert [one.digests for one in log.events] == [{"sha256": D1}, {"sm3_256": D2}]


def test_spec_id_event_among_the_events_is_informative():
    note = event(0, EV_NO_ACTION, bytes(32), spec_id())
    log = parse_event_log(agile_log(event(0, 8, D1), note, event(0, 8, D2)))
    assert replay(log, "sha256")[0] == extended(bytes(32), D1, D2)


def test_header_of_algorithms_nobody_knows_has_no_banks():
    header = spec_id(algorithms=b"\1\0\0\0\x99\0\x20\0")
    assert parse_event_log(agile_log(header=header)).banks == ()


def test_event_behind_zeros_is_not_overlooked():
    refused(agile_log(event(0, 8, D1)) + bytes(16) + event(0, 8, D2))


def test_informative_event_in_the_middle_extends_nothing():
    note = event(0, EV_NO_ACTION, D2, b"SP800-155 Event\0")
    log = parse_event_log(agile_log(event(0, 8, D1), note, event(0, 8, D2)))
    assert replay(log, "sha256")[0] == extended(bytes(32), D1, D2)


def test_hcrtm_event_that_comes_first_says_that_pcr_0_started_at_4():
    """TPM 2.0 Library Part 1, 17.10; firmware is to state the start-up locality, and may not."""
    measured = event(0, EV_EFI_HCRTM_EVENT, D1, b"HCRTM")
    log = parse_event_log(agile_log(measured, event(0, 8, D2)))
    assert replay(log, "sha256")[0] == extended(bytes(31) + b"\4", D1, D2)
    stated = event(0, EV_NO_ACTION, bytes(32), b"StartupLocality\0\3")
    log = parse_event_log(agile_log(stated, measured))
    assert replay(log, "sha256")[0] == extended(bytes(31) + b"\4", D1)
    late = parse_event_log(agile_log(event(0, 8, D2), measured))
    assert replay(late, "sha256")[0] == extended(bytes(32), D2, D1)


def test_dynamic_launch_starts_its_pcrs_at_zero():
    sinit, mle = event(17, EVTYPE_HASH_START, D1), event(18, EVTYPE_MLE_HASH, D2)
    values = replay(parse_event_log(agile_log(sinit, mle)), "sha256")
    assert values[17] == extended(bytes(32), D1)
    assert values[18] == extended(bytes(32), D2)
    assert values[19] == bytes(32)


def test_without_a_dynamic_launch_its_pcrs_are_all_ones():
    values = replay(parse_event_log(agile_log(event(0, 8, D1))), "sha256")
    assert {values[index] for index in range(17, 23)} == {b"\xff" * 32}
    # A PCR that only an operating system extends is no launch.
    late = replay(parse_event_log(agile_log(event(20, 8, D1))), "sha256")
    assert late[20] == extended(b"\xff" * 32, D1)


def test_pcr_mapping_of_txt_names_no_pcr_and_extends_none():
    mapping = event(0xFF, EVTYPE_PCRMAPPING, bytes(32), b"\1\0\0\0")
    log = parse_event_log(agile_log(mapping, event(17, EVTYPE_HASH_START, D1)))
    assert replay(log, "sha256")[17] == extended(bytes(32), D1)


def test_event_without_a_bank_extends_nothing_in_it():
    both = spec_id(algorithms=b"\2\0\0\0\x04\0\x14\0\x0b\0\x20\0")
    only_sha1 = bytes(4) + b"\x08\0\0\0" + b"\1\0\0\0\x04\0" + b"\1" * 20 + bytes(4)
    log = parse_event_log(agile_log(only_sha1, event(0, 8, D1), header=both))
    assert replay(log, "sha256")[0] == extended(bytes(32), D1)
    assert replay(log, "sha1")[0] == hashlib.sha1(bytes(20) + b"\1" * 20).digest()


def test_vendor_bytes_inside_the_header_are_skipped():
    log = parse_event_log(agile_log(event(0, 8, D1), header=spec_id(vendor=event(0, 8, D2))))
    assert [e.digests for e in log.events] == [{"sha256": D1}]


def test_bytes_behind_the_vendor_information_are_refused():
    refused(agile_log(header=spec_id() + b"x"))


def test_digest_of_another_algorithm_or_twice_is_refused():
    foreign = event(0, 8, D1).replace(b"\x0b\0", b"\x0c\0", 1)
    refused(agile_log(foreign))
    twice = event(0, 8, D1)[:8] + b"\2\0\0\0" + (b"\x0b\0" + D1) * 2 + bytes(4)
    refused(agile_log(twice))


def test_pcr_that_does_not_exist_is_refused():
    assert "no PCR 24" in refused(agile_log(event(24, 8, D1)))


def test_empty_and_oversized_logs_are_refused():
    refused(b"")
    refused(bytes(MAX_EVENT_LOG + 1))


def test_too_many_events_are_refused():
    refused(agile_log(*[event(0, 8, D1)] * 40_000)[:MAX_EVENT_LOG])


@pytest.mark.parametrize("cut", range(1, 40))
def test_cut_log_is_refused(cut):
    log = agile_log(event(0, 8, D1), event(1, 8, D2, b"data"))
    if cut < 45:
        refused(log[:-cut])


@given(st.binary(max_size=400))
@settings(max_examples=300)
def test_any_bytes_are_a_log_or_one_clear_error(noise):
    for data in (noise, agile_log() + noise, agile_log(event(0, 8, D1), header=noise)):
        try:
            parse_event_log(data)
        except EventLogError:
            pass


def corpus() -> list[Path]:
    found = [*ROOT.glob("public/eventlogs/*/*"), *ROOT.glob("ovmf-*/bios_log")]
    return sorted(p for p in found if p.suffix in ("", ".bin", ".log"))


@pytest.mark.parametrize("path", corpus(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_corpus_replays_as_tpm2_eventlog_says(path):
    if shutil.which("tpm2_eventlog") is None:
        pytest.skip("tpm2_eventlog (tpm2-tools) is not installed")
    if path.name == "specid-vendordata.bin":
        assert parse_event_log(path.read_bytes()).events == ()
        return
    log = parse_event_log(path.read_bytes())
    for bank, values in tool_replay(path).items():
        ours = replay(log, bank)
        if log.startup_locality:
            # tpm2_eventlog 5.4 does not know the start-up locality and extends PCR 0 by that
            # informative event's zeros (PFP 10.4.5: it is not extended): compare from there.
            seed = hashlib.new(bank, bytes(2 * len(ours[0]))).digest()
            ours[0] = replay(log, bank, seed)[0]
        assert {index: ours[index].hex() for index in values} == values


def test_corpus_is_here():
    vectors("public/eventlogs")
    assert len(corpus()) >= 20


def tool_replay(path: Path) -> dict[str, dict[int, str]]:
    done = subprocess.run(["tpm2_eventlog", str(path)], capture_output=True)
    text = done.stdout.decode(errors="replace")
    values: dict[str, dict[int, str]] = {}
    bank = ""
    for line in text.partition("\npcrs:\n")[2].splitlines():
        if head := re.fullmatch(r"  (\w+):", line):
            bank = head[1]
        elif value := re.fullmatch(r"\s+(\d+)\s*: 0x([0-9a-f]+)", line):
            values.setdefault(bank, {})[int(value[1])] = value[2]
    return values


def test_captured_log_comes_to_the_quoted_values():
    home = vectors("ovmf-plain")
    values = replay(parse_event_log((home / "bios_log").read_bytes()), "sha256")
    quoted = dict(re.findall(r"pcr-sha256 (\d+) ([0-9A-F]{64})", (home / "pcrs.txt").read_text()))
    for index in range(8):
        assert values[index].hex().upper() == quoted[str(index)]
