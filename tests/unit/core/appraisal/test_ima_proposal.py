# SPDX-License-Identifier: Apache-2.0
"""Policies proposed from a good host's IMA list: they accept that host, and say what else."""

from __future__ import annotations

import hashlib

import pytest
import yaml

from e2etrust_core.appraisal.allowlist_lines import allowlist_line
from e2etrust_core.appraisal.ima_allowlist import file_key, read_allowlist
from e2etrust_core.appraisal.policy import parse_policy, selection_of
from e2etrust_core.appraisal.policy_proposal import Proposal, propose_policy
from e2etrust_core.appraisal.recorded import RecordedAppraisal, appraise_again
from e2etrust_core.evidence.ima_list import read_entry, reader
from e2etrust_core.evidence.model import HostEvidence
from e2etrust_core.launch import attest_binding
from e2etrust_core.suites import ECC_P256_SHA256
from tests.unit.core.appraisal.test_dm_checks import LINEAR, ROOT_UP, device, load, resume, table
from tests.unit.core.appraisal.test_ima_checks import NONCE, Host, failed
from tests.unit.core.appraisal.test_ima_measured_keys import OTHER, certificate, signed
from tests.unit.core.ima_writer import buf, line, ng, sig, violation
from tests.vectors import vectors

OBSERVE = "name: new\nhosts: ['*']\nobserve: {sha256: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}\n"
LOADED = hashlib.sha256(b"the policy").digest()
STATE = b"initialized=1;enforcing=1;checkreqprot=0;open_perms=1;"


@pytest.fixture
def host(tmp_path) -> Host:
    return Host(tmp_path)


def recorded(host: Host, ima: bytes | None = None, ima_from: int = 0) -> RecordedAppraisal:
    policy = parse_policy(OBSERVE)
    measured = host.measure()
    quote = host.tpm.quote(attest_binding(NONCE, []), selection_of(policy))
    return RecordedAppraisal(
        host="host1",
        suite=ECC_P256_SHA256.name,
        ek_public=host.tpm.ek_public,
        ak_public=host.tpm.ak_public,
        nonce=NONCE,
        selection=selection_of(policy),
        evidence=HostEvidence(quote, ima=measured if ima is None else ima, ima_from=ima_from),
        at="2026-01-01T00:00:00+00:00",
        policy=policy.name,
        fingerprint=policy.fingerprint,
        checks=[],
        ek_accepted_by="inventory",
    )


def learnt(host: Host, *, with_files: bool = True) -> Proposal:
    """A proposal, which accepts the host as it was recorded."""
    one = recorded(host)
    found = propose_policy(one, "learnt", ["host1"], with_files=with_files)
    assert failed(appraise_again(one, found.policy())) == {}
    return found


def told(found: Proposal, words: str) -> bool:
    return any(words in line for line in found.words)


def test_policy_that_only_observes_pcr_10_has_the_list_sent():
    assert parse_policy(OBSERVE).asks_ima
    assert not parse_policy(OBSERVE.replace(", 10", "")).asks_ima
    deciding = OBSERVE + f"pcrs: {{sha256: {{7: ['{'11' * 32}']}}}}\n"
    assert not parse_policy(deciding).asks_ima


def test_measured_files_go_to_an_allowlist_beside_the_policy(host):
    found = learnt(host)
    section = yaml.safe_load(found.text)["ima"]
    assert section == {"bank": "sha256", "aggregate_bank": "sha256", "allow": ["learnt.sha256"]}
    assert told(found, "3 measured files, each by digest and path (learnt.sha256)")
    assert 10 not in found.left_out
    host.entries.append(ng("/usr/bin/new", b"new"))
    again = appraise_again(recorded(host), found.policy())
    assert failed(again) == {"ima-policy": ("IMA_FILE_REFUSED", "ima 5")}


def test_without_a_place_for_an_allowlist_nothing_of_the_files_is_proposed(host):
    found = learnt(host, with_files=False)
    assert "ima" not in yaml.safe_load(found.text)
    assert told(found, "--directory")
    assert found.files == {}


def test_selinux_state_is_proposed_as_it_is_and_files_told_to_be_left_out(host):
    host.entries += [buf("selinux-state", STATE), buf("selinux-policy-hash", LOADED)]
    document = yaml.safe_load(learnt(host).text)
    flags = {"checkreqprot": False, "open_perms": True}
    assert document["mac"] == {"selinux": {"policies": [LOADED.hex()], "flags": flags}}
    found = learnt(host, with_files=False)
    assert yaml.safe_load(found.text)["ima"]["exclude"] == ["*"]
    assert told(found, "3 measured files without a look")


def test_flag_that_changed_is_not_proposed(host):
    other = STATE.replace(b"open_perms=1", b"open_perms=0")
    host.entries += [buf("selinux-policy-hash", LOADED)]
    host.entries += [buf("selinux-state", one) for one in (other, STATE)]
    section = yaml.safe_load(learnt(host).text)["mac"]
    assert section["selinux"]["flags"] == {"checkreqprot": False}


def test_host_that_was_permissive_gives_no_mac_section_and_the_reason(host):
    host.entries += [buf("selinux-policy-hash", LOADED), buf("selinux-state", STATE)]
    host.entries.append(buf("selinux-state", STATE.replace(b"enforcing=1", b"enforcing=0")))
    found = learnt(host)
    assert "mac" not in yaml.safe_load(found.text)
    assert told(found, "no section mac: SELinux was permissive")


def test_device_mapper_tables_are_proposed_by_device_and_root_digest(host):
    linear = table("vg-a", LINEAR)
    host.entries += [*ROOT_UP, *load(linear), resume("vg-a", linear)]
    found = learnt(host)
    root, other = yaml.safe_load(found.text)["device_mapper"]
    expected = {"name": "root", "uuid": "CRYPT-VERITY-1-root", "root_digests": ["11" * 32]}
    assert root == expected
    assert other == {"name": "vg-a", "targets": ["linear"]}
    assert told(found, "2 device-mapper devices by name, 1 by root digest")
    host.entries += load(table("vg-b", LINEAR))
    again = appraise_again(recorded(host), found.policy())
    assert failed(again) == {"device-mapper": ("DM_DEVICE_REFUSED", "ima 9")}


def test_name_with_a_patterns_characters_is_proposed_as_narrowly_as_can_be(host):
    host.entries += load(table("a[1]*", LINEAR))
    (rule,) = yaml.safe_load(learnt(host).text)["device_mapper"]
    assert rule["name"] == "a[1]?"


def test_tables_that_cannot_be_ruled_are_proposed_by_digest(host):
    host.entries.append(buf("dm_device_resume", device("root").encode()))
    found = learnt(host)
    (rule,) = yaml.safe_load(found.text)["ima"]["buffers"]
    assert rule["name"] == "dm_device_resume"
    assert told(found, "no section device_mapper: ")


def test_keys_that_signed_files_are_proposed_and_their_files_are_not(host):
    key = certificate(OTHER)
    host.entries += [buf(".ima", key), buf(".platform", key)]
    host.entries += [signed("/opt/new", b"new", OTHER), sig("/opt/x", b"x", b"\3\2\4" + bytes(20))]
    found = learnt(host)
    rules = yaml.safe_load(found.text)["ima"]["buffers"]
    digest = hashlib.sha256(key).hexdigest()
    assert rules == [
        {"name": ".ima", "digests": [digest], "verifies": True},
        {"name": ".platform", "digests": [digest]},
    ]
    assert b"/opt/new" not in found.files["learnt.sha256"]
    assert told(found, "1 files, and whatever else is signed by the same keys of .ima")
    assert told(found, "1 of the files are signed by keys that were not measured")
    host.entries.append(signed("/opt/other", b"other", OTHER))
    assert failed(appraise_again(recorded(host), found.policy())) == {}


def test_violations_are_told_and_reported_on(host):
    host.entries.append(violation("/var/log/x"))
    found = learnt(host)
    assert yaml.safe_load(found.text)["ima"]["violations"] == "report"
    assert told(found, "1 violations")


def test_entry_that_nobody_reads_is_told_and_not_accepted(host):
    host.entries.append(line("ima-new", b"x"))
    found = propose_policy(recorded(host), "learnt", ["*"], with_files=True)
    assert told(found, "not accepted: entry 5: IMA template ima-new is not known here")
    again = appraise_again(recorded(host), found.policy())
    assert failed(again) == {"ima-policy": ("IMA_FILE_REFUSED", "ima 5")}


def test_what_is_behind_the_quote_is_not_proposed(host):
    data = host.measure() + ng("/later")
    found = propose_policy(recorded(host, data), "learnt", ["*"], with_files=True)
    assert b"/later" not in found.files["learnt.sha256"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ima": b""}, "comes to the quoted PCR 10"),
        ({"ima": b"no list"}, "first entry"),
        ({"ima_from": 7}, "only a part"),
    ],
)
def test_list_that_proves_nothing_proposes_nothing(host, changes, words):
    found = propose_policy(recorded(host, **changes), "learnt", ["*"], with_files=True)
    assert "ima" not in yaml.safe_load(found.text)
    assert told(found, words)


def test_list_of_another_boot_proposes_nothing(host):
    host.entries[0] = ng("boot_aggregate", b"another boot's")
    found = propose_policy(recorded(host), "learnt", ["*"], with_files=True)
    assert told(found, "boot_aggregate is not of the quoted PCRs")


def test_tpm_is_proposed_by_suite_and_acceptance(host):
    document = yaml.safe_load(learnt(host).text)
    assert document["tpm"] == {"suites": ["ecc-p256-sha256"], "ek_accepted_by": ["inventory"]}
    assert told(
        learnt(host), "a TPM of suite ecc-p256-sha256, enrolled by inventory, whoever made it"
    )


@pytest.mark.parametrize("name", ["ovmf-plain", "ovmf-sm3"])
def test_captured_list_gives_an_allowlist_that_accepts_it(host, name):
    data, at = (vectors(name) / "ima_bin").read_bytes(), []
    cursor = reader(data)
    while cursor.left:
        begin = cursor.at
        read_entry(cursor, 20, len(at) + 1)
        at.append(data[begin : cursor.at])
    host.entries[1:] = at[1:]  # its boot_aggregate is of that machine
    assert told(learnt(host), "measured files, each by digest and path")


@pytest.mark.parametrize("path", [b"/a", b"/a\nb", b"/a\\nb", b"/a\rb\\", b"/\xff", b"/a_b"])
@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512", "sm3", "sm3-256"])
@pytest.mark.parametrize("verity", [False, True])
def test_every_written_line_is_read_as_what_it_was_written_of(path, algorithm, verity):
    digest = hashlib.new(algorithm.removesuffix("-256"), path).digest()
    text = allowlist_line(algorithm, digest, path, verity=verity)
    assert file_key(algorithm, digest, path, verity=verity) in read_allowlist([text + b"\n"])
