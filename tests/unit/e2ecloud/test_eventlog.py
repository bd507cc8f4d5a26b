# SPDX-License-Identifier: Apache-2.0
"""The cloud firmware's event log, read back by an independent reader (tpm2_eventlog)."""

import hashlib
import shutil
import subprocess

import pytest
import yaml

from e2ecloud import eventlog as el

BANKS = ("sha1", "sha256")
EVENTS = [
    el.crtm_version("firmware 1"),
    el.Event(4, el.EV_IPL, b"kernel", b"a kernel"),
    el.separator(4),
    el.Event(9, el.EV_IPL, b"", b"a file that is not there"),
]


@pytest.fixture
def read_by_tpm2_tools(tmp_path):
    if shutil.which("tpm2_eventlog") is None:
        pytest.fail("tpm2-tools is missing: run tools/install")
    path = tmp_path / "log"
    path.write_bytes(el.write(EVENTS, BANKS))
    output = subprocess.run(["tpm2_eventlog", path], check=True, capture_output=True).stdout
    return yaml.safe_load(output)


def test_tpm2_eventlog_reads_every_event_with_its_digests(read_by_tpm2_tools):
    events = read_by_tpm2_tools["events"][1:]
    assert [event["PCRIndex"] for event in events] == [event.pcr for event in EVENTS]
    for read, written in zip(events, EVENTS, strict=True):
        digests = {digest["AlgorithmId"]: digest["Digest"] for digest in read["Digests"]}
        assert digests == {bank: written.digest(bank).hex() for bank in BANKS}


@pytest.mark.parametrize("bank", BANKS)
def test_replay_agrees_with_tpm2_eventlog(read_by_tpm2_tools, bank):
    theirs = {
        pcr: f"{value:0{2 * el.BANKS[bank][1]}x}" for pcr, value in _pcrs(read_by_tpm2_tools, bank)
    }
    ours = {pcr: value.hex() for pcr, value in el.replay(EVENTS, bank).items()}
    assert ours == theirs


def _pcrs(parsed, bank):
    return parsed["pcrs"][bank].items()


def test_version_and_separator_show_exactly_what_was_measured():
    for event in (el.crtm_version("firmware 1"), el.separator(3)):
        assert event.digest("sha256") == hashlib.sha256(event.data).digest()


def test_changed_content_changes_the_pcr_and_only_that_one():
    changed = [*EVENTS[:1], el.Event(4, el.EV_IPL, b"another kernel", b"a kernel"), *EVENTS[2:]]
    before, after = el.replay(EVENTS, "sha256"), el.replay(changed, "sha256")
    assert {pcr for pcr in before if before[pcr] != after[pcr]} == {4}
