# SPDX-License-Identifier: Apache-2.0
"""What IMA measured of SELinux against a policy's ``mac`` section.

The state's words are those of security/selinux/ima.c; the policy's buffer is its digest.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest

from e2etrust_core.appraisal.policy import parse_timed_policy
from e2etrust_core.appraisal.policy_ima import FilesBeside
from e2etrust_core.errors import PolicyError
from tests.unit.core.appraisal.test_ima_checks import HEAD, SECTION, Host, failed
from tests.unit.core.ima_writer import buf, ng

LOADED = hashlib.sha256(b"the policy").digest()
OTHER = hashlib.sha256(b"another policy").digest()
MAC = f"mac: {{selinux: {{policies: ['{LOADED.hex()}']}}}}\n"


def state(initialized: int = 1, enforcing: int = 1, more: str = "open_perms=1;") -> bytes:
    text = f"initialized={initialized};enforcing={enforcing};checkreqprot=0;{more}"
    return buf("selinux-state", text.encode())


def policy(digest: bytes = LOADED) -> bytes:
    return buf("selinux-policy-hash", digest)


@pytest.fixture
def host(tmp_path) -> Host:
    made = Host(tmp_path)
    made.rules(SECTION + MAC)
    # systemd sets enforcement, then loads the policy.
    made.entries += [state(initialized=0, more="open_perms=0;"), state(), policy()]
    return made


def refused(host: Host, code: str, where: str) -> None:
    found = host.appraise()
    assert failed(found) == {"mac-state": (code, where)}
    assert found.ima is None


def test_host_that_enforced_an_accepted_policy_is_trusted(host):
    found = host.appraise()
    assert found.verdict.trusted
    assert "mac-state" in [row.check for row in found.verdict.checks]


def test_state_counts_that_was_measured_before_the_part_that_is_sent(host):
    assert host.appraise().verdict.trusted
    host.entries.append(ng("/usr/bin/ls", b"ls"))
    assert host.appraise().verdict.trusted


@pytest.mark.parametrize("initialized", [0, 1])
def test_host_that_was_permissive_once_is_untrusted_though_it_enforces_again(host, initialized):
    host.entries += [state(initialized, enforcing=0), ng("/usr/bin/ls", b"ls")]
    refused(host, "MAC_PERMISSIVE", "ima 8")
    host.entries.append(state(more="open_perms=1;extended_socket_class=1;"))
    refused(host, "MAC_PERMISSIVE", "ima 8")


def test_permissive_host_is_told_after_a_good_attestation_too(host):
    assert host.appraise().verdict.trusted
    host.entries.append(state(enforcing=0))
    refused(host, "MAC_PERMISSIVE", "ima 8")


def test_every_policy_that_was_loaded_must_be_accepted(host):
    host.entries += [policy(OTHER), policy(LOADED)]
    refused(host, "MAC_POLICY_REFUSED", "ima 8")
    host.rules(SECTION + "mac: {selinux: {policies: any}}\n")
    assert host.appraise().verdict.trusted


def test_reason_says_how_many_more_measurements_are_refused(host):
    host.entries += [state(enforcing=0), policy(OTHER)]
    (row,) = host.appraise().verdict.failed
    assert row.reason == "SELinux was permissive (and 1 more entries)"


@pytest.mark.parametrize("gone", ["selinux-state", "selinux-policy-hash"])
def test_what_was_never_measured_is_no_proof(host, gone):
    host.entries = [one for one in host.entries if gone.encode() not in one]
    refused(host, "MAC_UNMEASURED", "")


def test_state_before_the_first_policy_is_no_state_of_enforcement(host):
    host.entries.remove(state())
    refused(host, "MAC_UNMEASURED", "")


def test_flags_are_as_the_policy_says_while_a_policy_is_loaded(host):
    flags = "mac: {selinux: {policies: any, flags: {open_perms: true, checkreqprot: false}}}\n"
    host.rules(SECTION + flags)
    assert host.appraise().verdict.trusted
    host.entries.append(state(more="open_perms=0;"))
    refused(host, "MAC_STATE_REFUSED", "ima 8")


def test_flag_that_the_kernel_does_not_know_is_not_as_the_policy_says(host):
    host.rules(
        SECTION + "mac: {selinux: {policies: any, flags: {userspace_initial_context: false}}}\n"
    )
    refused(host, "MAC_STATE_REFUSED", "ima 6")


@pytest.mark.parametrize(
    "text",
    [
        b"\0",
        b"initialized=1;enforcing=1",
        b"initialized=1;enforcing=1;enforcing=0;",
        b"enforcing=1;enforcing=0;initialized=1;enforcing=1;",
        b"initialized=1;",
        b"enforcing=1;",
        b"initialized=1;enforcing=2;",
        b"initialized=1;enforcing=1;\n",
        b"\xff",
    ],
)
def test_state_that_cannot_be_read_is_refused(host, text):
    host.entries.append(buf("selinux-state", text))
    refused(host, "MAC_STATE_REFUSED", "ima 8")


def test_file_of_that_name_is_no_state(host):
    host.entries[4:] = [ng("selinux-state", b"initialized=1;enforcing=1;"), policy()]
    codes = failed(host.appraise())
    assert codes == {
        "ima-policy": ("IMA_FILE_REFUSED", "ima 5"),
        "mac-state": ("MAC_UNMEASURED", ""),
    }


def test_without_the_section_the_buffers_are_for_the_rules_of_ima(host):
    host.rules(SECTION)
    assert failed(host.appraise()) == {"ima-policy": ("IMA_BUFFER_REFUSED", "ima 5")}


def test_list_that_does_not_come_to_the_quote_proves_nothing_of_the_state(host):
    found = host.appraise(ima=b"")
    rows = {row.check: row.code for row in found.verdict.failed}
    assert rows["mac-state"] == "NOT_REACHED"


def test_policy_may_read_the_list_for_the_state_alone(host):
    host.rules("ima: {}\n" + MAC)
    assert failed(host.appraise()) == {"ima-policy": ("IMA_FILE_REFUSED", "ima 2")}
    host.rules("ima: {exclude: ['*']}\n" + MAC)
    assert host.appraise().verdict.trusted


def test_policy_of_selinux_has_a_window_and_what_was_good_by_it_is_looked_at_again(host):
    window = f"{{accept: '{LOADED.hex()}', until: 2026-12-01T00:00:00Z}}"
    text = f"mac: {{selinux: {{policies: ['{OTHER.hex()}', {window}]}}}}\n"
    timed = parse_timed_policy(
        HEAD % host.tpm.pcrs["sha256"][7].hex() + SECTION + text, FilesBeside(host.directory)
    )
    host.policy = timed.at(datetime(2026, 11, 30, tzinfo=UTC))
    assert host.appraise().verdict.trusted
    host.policy = timed.at(datetime(2026, 12, 1, tzinfo=UTC))
    host.seen = None  # the fingerprint is another: the whole list is asked for
    refused(host, "WINDOW_CLOSED", "ima 7")


@pytest.mark.parametrize(
    ("section", "told"),
    [
        (MAC, "ima as well"),
        ("ima: {}\nmac: {selinux: {policies: maybe}}\n", "policies"),
        (SECTION + "mac: {apparmor: {}}\n", "selinux"),
        (SECTION + "mac: {selinux: {policies: any, mode: 1}}\n", "flags"),
        (SECTION + "mac: {selinux: {policies: any, flags: {enforcing: true}}}\n", "without being"),
        (SECTION + "  buffers: [{name: selinux-state, anything: true}]\n" + MAC, "judged by mac"),
    ],
)
def test_section_that_is_wrong_is_refused_by_its_field(host, section, told):
    with pytest.raises(PolicyError, match=told):
        host.rules(section)
