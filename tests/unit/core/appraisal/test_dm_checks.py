# SPDX-License-Identifier: Apache-2.0
"""What IMA measured of device-mapper against a policy's ``device_mapper`` section."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from e2etrust_core import wire
from e2etrust_core.appraisal.dm_checks import MAX_TABLES
from e2etrust_core.appraisal.policy import parse_timed_policy
from e2etrust_core.appraisal.policy_ima import FilesBeside
from e2etrust_core.appraisal.reference import ImaSeen
from e2etrust_core.errors import PolicyError
from tests.unit.core.appraisal.test_ima_checks import HEAD, SECTION, Host, failed
from tests.unit.core.ima_writer import buf, ng

ROOT = "11" * 32
VERITY = "target_name=verity,target_version=1.8.0,hash_failed={0},root_digest={1},salt=-;"
CRYPT = "target_name=crypt,target_version=1.23.0,allow_discards={0},cipher_string=aes-xts-plain64;"
LINEAR = "target_name=linear,target_version=1.4.0,device_name=253:0,start=0;"
RULES = f"""device_mapper:
  - {{name: root, uuid: CRYPT-VERITY-*, root_digests: ['{ROOT}'], required: true}}
  - {{name: swap, targets: [crypt], attributes: {{allow_discards: n}}}}
  - {{name: 'vg-*', targets: [linear, crypt]}}
  - {{name: 'scratch-*', anything: true}}
"""


def device(name: str, uuid: str = "", count: int = 1) -> str:
    return f"dm_version=4.47.0;{metadata(name, uuid, count)}"


def metadata(name: str, uuid: str = "", count: int = 1) -> str:
    minor = hashlib.sha256(name.encode()).digest()[0]
    return f"name={name},uuid={uuid},major=253,minor={minor},minor_count=1,num_targets={count};"


def table(name: str, *targets: str, uuid: str = "", first: int = 0, count: int = 0) -> bytes:
    """What is measured when a table, or a part of one, is loaded."""
    rows = [
        f"target_index={number},target_begin={number * 8},target_len=8,{target}"
        for number, target in enumerate(targets, first)
    ]
    return (device(name, uuid, count or len(targets)) + "".join(rows)).encode()


def load(*measured: bytes) -> list[bytes]:
    return [buf("dm_table_load", one) for one in measured]


def resume(name: str, *measured: bytes, uuid: str = "") -> bytes:
    digest = hashlib.sha256(b"".join(measured)).hexdigest()
    text = f"active_table_hash=sha256:{digest};current_device_capacity=8;"
    return buf("dm_device_resume", (device(name, uuid) + text).encode())


def rename(before: str, after: str) -> bytes:
    text = f"new_name={after},new_uuid=;current_device_capacity=8;"
    return buf("dm_device_rename", (device(before) + text).encode())


def remove(name: str, uuid: str = "", kind: str = "active") -> bytes:
    text = f"dm_version=4.47.0;device_{kind}_metadata={metadata(name, uuid)}"
    text += f"{kind}_table_hash=sha256:{'0' * 64},remove_all=n;current_device_capacity=8;"
    return buf("dm_device_remove", text.encode())


ROOT_TABLE = table("root", VERITY.format("V", ROOT), uuid="CRYPT-VERITY-1-root")
ROOT_UP = [*load(ROOT_TABLE), resume("root", ROOT_TABLE, uuid="CRYPT-VERITY-1-root")]


@pytest.fixture
def host(tmp_path) -> Host:
    made = Host(tmp_path)
    made.rules(SECTION + RULES)
    made.entries += ROOT_UP
    return made


def refused(host: Host, code: str, where: str = "ima 7") -> str:
    found = host.appraise()
    assert failed(found) == {"device-mapper": (code, where)}
    assert found.ima is None
    return found.verdict.failed[0].reason


def test_host_whose_tables_are_as_the_rules_say_is_trusted(host):
    host.entries += load(table("swap", CRYPT.format("n")), table("vg-a", LINEAR, CRYPT.format("y")))
    found = host.appraise()
    assert found.verdict.trusted
    assert "device-mapper" in [row.check for row in found.verdict.checks]


def test_good_tables_of_a_host_that_ran_a_file_of_nobodys_are_a_row_and_no_more(host):
    host.entries.append(ng("/usr/bin/bash", b"another"))
    found = host.appraise()
    assert failed(found) == {"ima-policy": ("IMA_FILE_REFUSED", "ima 7")}
    assert found.ima is None


@pytest.mark.parametrize(
    "measured",
    [
        table("root", VERITY.format("V", "22" * 32), uuid="CRYPT-VERITY-1-root"),
        table("root", VERITY.format("C", ROOT), uuid="CRYPT-VERITY-1-root"),
        table("root", VERITY.format("V", ROOT), LINEAR, uuid="CRYPT-VERITY-1-root"),
        table("root", VERITY.format("V", ROOT), uuid="LVM-1"),
        table("root", LINEAR, uuid="CRYPT-VERITY-1-root"),
        table("swap", CRYPT.format("y")),
        table("vg-a", LINEAR, VERITY.format("V", ROOT)),
        table("nobody-knows", LINEAR),
        table("vg-a", ""),
    ],
    ids=[
        "another root digest",
        "failed",
        "a linear target behind",
        "another uuid",
        "no verity",
        "another attribute",
        "a type that is not named",
        "no rule",
        "a target that tells nothing",
    ],
)
def test_table_that_no_rule_accepts_is_refused_by_its_device(host, measured):
    host.entries += load(measured)
    assert "its table is none that is accepted" in refused(host, "DM_DEVICE_REFUSED")


def test_device_that_is_not_to_be_looked_at_may_have_any_table(host):
    host.entries += load(table("scratch-1", "", LINEAR), table("scratch-1", CRYPT.format("y")))
    host.entries.append(resume("scratch-1", b"loaded before IMA measured"))
    assert host.appraise().verdict.trusted


def test_table_that_was_loaded_before_the_kernel_measured_is_refused_when_it_becomes_active(host):
    host.entries.append(resume("vg-a", table("vg-a", LINEAR)))
    refused(host, "DM_TABLE_UNMEASURED")


def test_device_that_is_required_must_have_become_active(host):
    host.entries[4:] = ROOT_UP[:1]
    refused(host, "DM_DEVICE_MISSING", "")
    host.entries[4:] = []
    refused(host, "DM_DEVICE_MISSING", "")


def test_what_was_loaded_in_an_earlier_part_of_the_list_counts_on(host):
    accepted = table("vg-a", LINEAR)
    host.entries += load(accepted)
    assert host.appraise().verdict.trusted
    host.seen = wire.from_json(ImaSeen, wire.to_json(host.seen))  # as the database keeps it
    host.entries.append(resume("vg-a", accepted))
    assert host.appraise().verdict.trusted
    host.entries.append(resume("vg-b", table("vg-b", LINEAR)))
    refused(host, "DM_TABLE_UNMEASURED", "ima 9")


def test_long_table_counts_as_its_parts_together(host):
    parts = [
        table("vg-a", LINEAR, LINEAR, count=3),
        table("vg-a", CRYPT.format("y"), first=2, count=3),
    ]
    host.entries += [*load(*parts), resume("vg-a", *parts)]
    assert host.appraise().verdict.trusted
    host.seen = None
    host.entries[-3:] = load(table("vg-a", VERITY.format("V", ROOT), first=2, count=3))
    assert "parts of its table are missing" in refused(host, "DM_DEVICE_REFUSED")


def test_long_table_may_be_cut_by_the_quote_between_its_parts(host):
    parts = [table("vg-a", LINEAR, count=2), table("vg-a", LINEAR, first=1, count=2)]
    assert host.appraise().verdict.trusted
    before = host.seen
    host.entries += load(parts[0])
    found = host.appraise()
    assert found.verdict.trusted
    assert found.ima == before  # it is looked at again from there
    host.entries += [*load(parts[1]), resume("vg-a", *parts)]
    assert host.appraise().verdict.trusted


def test_device_may_be_renamed_where_the_same_rules_hold(host):
    host.entries += [*load(table("vg-a", LINEAR)), rename("vg-a", "vg-b")]
    assert host.appraise().verdict.trusted
    host.entries.append(rename("vg-b", "root"))
    refused(host, "DM_DEVICE_REFUSED", "ima 9")


def test_what_is_taken_away_brings_nothing(host):
    host.entries += [remove("vg-x"), remove("root", kind="inactive"), buf("dm_table_clear", b"x")]
    assert host.appraise().verdict.trusted


STILL = RULES.replace("required: true", "required: now")
ROOT_UUID = "CRYPT-VERITY-1-root"


def active(host: Host) -> str:
    rows = {row.check: row.reason for row in host.appraise().verdict.checks}
    return rows["device-mapper"].partition("as far as the log tells: ")[2]


def test_row_tells_which_devices_are_active_now(host):
    one = table("vg-a", LINEAR)
    host.entries += [*load(one), resume("vg-a", one)]
    assert active(host) == "root, vg-a"
    host.seen = wire.from_json(ImaSeen, wire.to_json(host.seen))  # as the database keeps it
    host.entries += [rename("vg-a", "vg-b")]
    assert active(host) == "root, vg-b"
    host.entries += [remove("root", ROOT_UUID)]
    assert active(host) == "vg-b"


def test_device_that_must_be_active_now_may_not_have_been_removed(host):
    host.rules(SECTION + STILL)
    assert host.appraise().verdict.trusted
    host.entries.append(remove("root", ROOT_UUID))
    refused(host, "DM_DEVICE_MISSING", "")
    host.rules(SECTION + RULES)
    host.seen = None
    assert host.appraise().verdict.trusted  # it was active once


def test_removal_of_which_the_kernel_tells_the_name_alone_counts(host):
    host.rules(SECTION + STILL)
    text = f"dm_version=4.47.0;name=root,uuid={ROOT_UUID};device_remove=no_data;"
    host.entries.append(buf("dm_device_remove", text.encode()))
    refused(host, "DM_DEVICE_MISSING", "")


def test_table_that_was_replaced_is_active_no_more(host):
    host.rules(SECTION + STILL + f"  - {{name: root, root_digests: ['{'22' * 32}']}}\n")
    other = table("root", VERITY.format("V", "22" * 32), uuid=ROOT_UUID)
    host.entries += [*load(other), resume("root", other, uuid=ROOT_UUID)]
    refused(host, "DM_DEVICE_MISSING", "")


def test_device_that_comes_back_with_another_table_that_is_accepted_counts(host):
    host.rules(SECTION + STILL)
    again = table("root", VERITY.format("V", ROOT), uuid="CRYPT-VERITY-2-root")
    host.entries += [remove("root", ROOT_UUID), *load(again)]
    refused(host, "DM_DEVICE_MISSING", "")
    host.entries += [resume("root", again, uuid="CRYPT-VERITY-2-root")]
    assert host.appraise().verdict.trusted


def test_what_a_release_before_remembered_counts_on(host):
    assert host.appraise().verdict.trusted
    host.seen = replace(host.seen, tables=[" ".join(t.split(" ")[:3]) for t in host.seen.tables])
    host.entries.append(rename("vg-a", "vg-b"))
    assert host.appraise().verdict.trusted


@pytest.mark.parametrize(
    "name", ["dm_table_load", "dm_device_resume", "dm_device_rename", "dm_device_remove"]
)
def test_measurement_that_cannot_be_read_is_refused(host, name):
    host.entries.append(buf(name, b"\xff"))
    refused(host, "DM_DEVICE_REFUSED")


def test_file_of_that_name_is_no_table(host):
    host.entries[4:] = [ng("dm_table_load", ROOT_TABLE)]
    found = host.appraise()
    assert failed(found) == {
        "ima-policy": ("IMA_FILE_REFUSED", "ima 5"),
        "device-mapper": ("DM_DEVICE_MISSING", ""),
    }


def test_without_the_section_the_tables_are_for_the_rules_of_ima(host):
    host.rules(SECTION)
    assert failed(host.appraise()) == {"ima-policy": ("IMA_BUFFER_REFUSED", "ima 5")}


def test_tables_of_a_host_that_are_remembered_are_bounded_and_required_ones_stay(host):
    for number in range(MAX_TABLES + 5):
        one = table(f"vg-{number}", LINEAR)
        host.entries += [*load(one), resume(f"vg-{number}", one)]
    found = host.appraise()
    assert found.verdict.trusted
    assert len(found.ima.tables) == MAX_TABLES
    assert host.appraise().verdict.trusted


def test_root_digest_has_a_window(host):
    window = f"{{accept: '{ROOT}', until: 2026-12-01T00:00:00Z}}"
    text = f"device_mapper: [{{name: root, root_digests: ['{'22' * 32}', {window}]}}]\n"
    timed = parse_timed_policy(
        HEAD % host.tpm.pcrs["sha256"][7].hex() + SECTION + text, FilesBeside(host.directory)
    )
    host.policy = timed.at(datetime(2026, 11, 30, tzinfo=UTC))
    assert host.appraise().verdict.trusted
    host.policy, host.seen = timed.at(datetime(2026, 12, 1, tzinfo=UTC)), None
    assert failed(host.appraise()) == {"device-mapper": ("WINDOW_CLOSED", "ima 5")}


@pytest.mark.parametrize(
    ("section", "told"),
    [
        (RULES, "ima as well"),
        (SECTION + "device_mapper: []\n", "1 to"),
        (SECTION + "device_mapper: [{targets: [linear]}]\n", "name or uuid"),
        (SECTION + "device_mapper: [{name: a, targets: [linear], size: 1}]\n", "some of"),
        (SECTION + "  buffers: [{name: dm_table_load, anything: true}]\n" + RULES, "judged by dev"),
    ],
)
def test_section_that_is_wrong_is_refused_by_its_field(host, section, told):
    with pytest.raises(PolicyError, match=told):
        host.rules(section)
