# SPDX-License-Identifier: Apache-2.0
"""A host whose IMA list and PCR 10 agree with its policy, until a test changes one of them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from e2etrust_core.appraisal import ima_rules
from e2etrust_core.appraisal.appraise import appraise_host
from e2etrust_core.appraisal.policy import parse_policy, selection_of, steady_selection
from e2etrust_core.appraisal.policy_ima import FilesBeside
from e2etrust_core.appraisal.reference import HostReference
from e2etrust_core.errors import PolicyError
from e2etrust_core.evidence.ima_frames import split_ima_list
from e2etrust_core.evidence.ima_list import read_entry, reader
from e2etrust_core.evidence.ima_signature import read_keyring
from e2etrust_core.evidence.model import HostEvidence
from e2etrust_core.launch import attest_binding
from e2etrust_core.suites import ECC_P256_SHA256
from tests.unit.core.ima_writer import (
    body,
    buf,
    evm,
    extended,
    file_digest,
    line,
    modsig,
    ng,
    pcr10,
    sig,
    unbuffered,
    violation,
)
from tests.unit.core.software_tpm import SoftwareTpm

NONCE = bytes(range(32))
GOOD = {f"/usr/bin/{name}": name.encode() for name in ("bash", "ls", "sshd")}
HEAD = "name: compute\nhosts: ['*']\npcrs: {sha256: {7: ['%s']}}\n"
SECTION = "ima:\n  allow: [files.sha256]\n"


class Host:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.tpm = SoftwareTpm()
        self.entries: list[bytes] = [self.aggregate(), *(ng(*one) for one in GOOD.items())]
        self.seen = None
        self.selection = None
        lines = [f"{hashlib.sha256(c).hexdigest()}  {path}\n" for path, c in GOOD.items()]
        (directory / "files.sha256").write_text("".join(lines))
        self.rules(SECTION)

    def rules(self, section: str) -> None:
        head = HEAD % self.tpm.pcrs["sha256"][7].hex()
        self.policy = parse_policy(head + section, FilesBeside(self.directory))

    def aggregate(self) -> bytes:
        values = b"".join(self.tpm.pcrs["sha256"][n] for n in range(10))
        return ng("boot_aggregate", values)

    def measure(self) -> bytes:
        """Extend what the list says, as the kernel does; return the list."""
        digests = []
        for one in self.entries:
            entry = read_entry(reader(one), 20, 1, verify=False)
            digests.append(b"\xff" * 32 if entry.violation else extended(entry.hashed))
        self.tpm.pcrs["sha256"][10] = pcr10(*digests)
        return b"".join(self.entries)

    def appraise(self, **changes):
        log = self.measure()
        known = self.seen
        begun = known.offset if known is not None else 0
        selection = self.selection or selection_of(self.policy)
        quote = self.tpm.quote(attest_binding(NONCE, []), selection)
        evidence = replace(HostEvidence(quote, ima=log[begun:], ima_from=begun), **changes)
        reference = HostReference(
            "host1", self.tpm.ek_public, self.tpm.ak_public, ECC_P256_SHA256, None, known
        )
        binding = attest_binding(NONCE, [])
        found = appraise_host(reference, self.policy, evidence, binding, selection, set())
        self.seen = found.ima if found.verdict.trusted else None
        return found


@pytest.fixture
def host(tmp_path) -> Host:
    return Host(tmp_path)


def failed(found) -> dict[str, tuple[str, str]]:
    rows = found.verdict.failed
    return {row.check: (row.code, row.where) for row in rows if row.code != "NOT_REACHED"}


def ima_row(found) -> str:
    return next(row.reason for row in found.verdict.checks if row.check == "ima-policy")


def refused(host, code: str, where: str = "ima 5") -> None:
    found = host.appraise()
    assert failed(found) == {"ima-policy": (code, where)}
    assert found.ima is None


def test_host_that_ran_allowed_files_only_is_trusted(host):
    found = host.appraise()
    assert found.verdict.trusted
    assert "4 entries" in ima_row(found)
    assert (found.ima.entries, found.ima.value) == (4, host.tpm.pcrs["sha256"][10])


@pytest.mark.parametrize(
    ("pcrs", "fault"),
    [
        ([7], {"ima-list": ("IMA_LIST_ABSENT", "")}),
        ([7, 10], {"ima-policy": ("IMA_AGGREGATE_MISMATCH", "ima 1")}),
    ],
)
def test_list_of_pcrs_that_nobody_quoted_is_refused_and_breaks_nothing(host, pcrs, fault):
    host.selection = {"sha256": pcrs}
    assert failed(host.appraise()) == fault


@pytest.mark.parametrize(
    "entry",
    [
        ng("/usr/bin/bash", b"another"),
        ng("/usr/bin/nobody-knows", b"bash"),
        sig("/usr/bin/bash", b"another"),
        line("ima-ng", body(b"sha256:\0" + bytes(31), b"/usr/bin/bash\0")),
        line("ima-new", body(b"sha256:\0" + bytes(32), b"/usr/bin/bash\0")),
    ],
    ids=["other content", "other path", "unsigned", "short digest", "unknown template"],
)
def test_file_that_no_allowlist_knows_is_named_by_its_entry(host, entry):
    host.entries.append(entry)
    refused(host, "IMA_FILE_REFUSED")


def test_allowed_file_counts_in_every_template(host):
    path, content = next(iter(GOOD.items()))
    digest = hashlib.sha256(content).digest()
    typed = line("ima-ngv2", body(b"ima:sha256:\0" + digest, path.encode() + b"\0"))
    host.entries += [sig(path, content), typed]
    assert host.appraise().verdict.trusted
    verity = line("ima-ngv2", body(b"verity:sha256:\0" + digest, path.encode() + b"\0"))
    host.entries.append(verity)
    refused(host, "IMA_FILE_REFUSED", "ima 7")


def test_all_of_several_bad_entries_are_counted(host):
    host.entries += [ng("/a"), ng("/b"), ng("/c")]
    found = host.appraise()
    reason = found.verdict.failed[0].reason
    assert "/a" in reason
    assert "2 more" in reason


def test_list_that_leaves_an_entry_out_does_not_come_to_the_quote(host):
    host.entries.append(ng("/evil"))
    log = host.measure()
    found = host.appraise(ima=log[: -len(host.entries[-1])])
    assert failed(found) == {"ima-list": ("IMA_LIST_MISMATCH", "")}


def test_entries_behind_the_quote_decide_nothing(host):
    found = host.appraise(ima=host.measure() + ng("/later"))
    assert found.verdict.trusted
    assert found.ima.entries == 4
    host.entries.append(ng("/later"))
    refused(host, "IMA_FILE_REFUSED")


def test_exclusion_is_for_whole_paths_and_told(host):
    host.rules(SECTION + "  exclude: ['/tmp/*']\n")
    host.entries.append(ng("/tmp/a/b"))
    found = host.appraise()
    assert found.verdict.trusted
    assert "1 left out by pattern (/tmp/*: 1)" in ima_row(found)
    for path in ("/usr/tmp/x", "/tmp", "/x/tmp/y"):
        host.entries[4:] = [ng(path)]
        host.seen = None
        refused(host, "IMA_FILE_REFUSED")


def test_each_pattern_tells_how_many_it_left_out_since_the_boot(host):
    host.rules(SECTION + "  exclude: ['/tmp/*', '/var/my dir/*', '/never/*']\n")
    host.entries += [ng("/tmp/a"), ng("/tmp/b"), ng("/var/my_dir/c")]
    told = "3 left out by pattern (/tmp/*: 2, /var/my dir/*: 1)"
    assert told in ima_row(host.appraise())
    host.entries.append(ng("/tmp/d"))
    assert told.replace("3", "4").replace("2", "3") in ima_row(host.appraise())


def test_file_counts_in_every_template_that_tells_digest_and_path(host):
    host.entries += [modsig("/usr/bin/ls", b"ls"), evm("/usr/bin/bash", b"bash")]
    digest = file_digest(b"sshd")
    host.entries.append(line("n-ng|d-ng|sig", body(b"/usr/bin/sshd\0", digest, b"")))
    assert host.appraise().verdict.trusted
    host.entries.append(modsig("/usr/bin/ls", b"another"))
    refused(host, "IMA_FILE_REFUSED", "ima 8")


def test_template_that_tells_no_digest_is_refused_by_its_name(host):
    host.entries.append(line("n-ng|sig", body(b"/usr/bin/ls\0", b"")))
    found = host.appraise()
    assert failed(found) == {"ima-policy": ("IMA_FILE_REFUSED", "ima 5")}
    assert "n-ng|sig" in found.verdict.failed[0].reason


def test_buffer_that_its_digest_is_not_of_is_refused(host):
    host.rules(SECTION + "  buffers: [{name: .ima, anything: true}]\n")
    fields = (file_digest(b"another"), b".ima\0", b"a key")
    host.entries.append(line("ima-buf", body(*fields)))
    refused(host, "IMA_FILE_REFUSED")


def test_excluded_entry_is_never_remembered_for_other_hosts(host):
    host.rules(SECTION + "  exclude: ['/tmp/*']\n")
    host.entries.append(ng("/tmp/x"))
    host.appraise()
    heads = [split_ima_list(one).heads[0] for one in host.entries]
    assert [one in host.policy.ima.known for one in heads] == [False, True, True, True, False]


def test_memory_of_accepted_entries_is_bounded(host, monkeypatch):
    monkeypatch.setattr(ima_rules, "MAX_KNOWN", 2)
    for _ in range(3):
        host.seen = None
        assert host.appraise().verdict.trusted
        assert len(host.policy.ima.known) <= 2


def test_good_and_bad_entry_of_one_name_are_not_remembered(host):
    host.rules(SECTION + "  exclude: ['/tmp/*']\n")
    good = split_ima_list(host.entries[1]).entry(0)
    bad = split_ima_list(ng("/tmp/x")).entry(0)
    host.entries.append(line("ima-ng", bad.hashed, digest=good.template_digest))
    assert host.appraise().verdict.trusted
    assert good.template_digest not in host.policy.ima.known


def named(entry: bytes, by: bytes) -> bytes:
    """Return *entry* under the template digest that *by* has."""
    return entry[:4] + by[4:24] + entry[24:]


@pytest.mark.parametrize("way", ["exchanged", "another host's"])
def test_host_that_misnames_its_entries_makes_no_other_host_fail(host, way):
    """What is remembered is shared by all hosts of a policy: one that lies must not poison it."""
    true = list(host.entries)
    bash, ls = true[1:3]
    if way == "exchanged":
        host.entries[1:3] = [named(bash, ls), named(ls, bash)]
    else:
        host.entries[1:3] = [named(bash, ls)]
    host.appraise()
    host.seen, host.entries = None, true
    assert host.appraise().verdict.trusted


def test_violation_is_refused_or_reported_as_the_policy_says(host):
    host.entries.append(violation("/usr/bin/bash"))
    refused(host, "IMA_VIOLATION")
    host.rules(SECTION + "  violations: report\n")
    found = host.appraise()
    assert found.verdict.trusted
    assert "1 violations" in ima_row(found)


def test_work_goes_on_where_it_ended(host):
    host.appraise()
    before = host.seen
    assert host.appraise(ima=b"").verdict.trusted
    host.entries.append(ng("/usr/bin/ls", b"ls"))
    found = host.appraise()
    assert found.verdict.trusted
    assert (found.ima.entries, found.ima.offset) == (5, before.offset + len(host.entries[-1]))
    host.entries.append(ng("/evil"))
    refused(host, "IMA_FILE_REFUSED", "ima 6")


def test_part_that_begins_elsewhere_is_refused(host):
    host.appraise()
    log = host.measure()
    found = host.appraise(ima=log[1:], ima_from=1)
    assert failed(found) == {"ima-list": ("IMA_LIST_MISMATCH", "")}


def test_what_another_policy_accepted_counts_for_nothing(host):
    host.appraise()
    host.rules(SECTION + "  exclude: ['/tmp/*']\n")
    found = host.appraise()
    assert failed(found) == {"ima-list": ("IMA_LIST_MISMATCH", "")}


def test_part_of_a_list_of_an_earlier_boot_does_not_come_to_the_quote(host):
    host.appraise()
    kept = host.seen
    host.entries[1:] = [ng("/usr/bin/ls", b"ls"), ng("/evil"), ng("/usr/bin/bash", b"bash")]
    host.seen = kept
    assert failed(host.appraise(ima=b"", ima_from=kept.offset)) == {
        "ima-list": ("IMA_LIST_MISMATCH", "")
    }


@pytest.mark.parametrize(
    ("reset", "code"), [(6, "IMA_LIST_MISMATCH"), (5, "IMA_AGGREGATE_MISMATCH")]
)
def test_list_of_a_good_boot_does_not_go_on_in_another(host, reset, code):
    """Another kernel, IMA off: root extends PCR 10 by what the list of the good boot said.

    Where the TPM was told to keep its state (TPM Restart) resetCount stays what it was.
    """
    host.appraise()
    host.tpm.pcrs["sha256"][9] = bytes(32)
    host.tpm.reset_count, host.tpm.restart_count = reset, 1
    assert failed(host.appraise()) == {"ima-list": (code, "")}


def test_list_goes_on_where_a_verifier_of_the_release_before_looked_at_it(host):
    host.appraise()
    host.seen = replace(host.seen, aggregate=b"")
    assert host.appraise().ima.aggregate


def test_boot_aggregate_is_of_the_quoted_pcrs_and_must_be_there(host):
    host.entries[0] = ng("boot_aggregate", b"another boot's")
    refused(host, "IMA_AGGREGATE_MISMATCH", "ima 1")
    host.entries.pop(0)
    refused(host, "IMA_ENTRY_MISSING", "")
    host.entries.clear()
    host.tpm.pcrs["sha256"][10] = bytes(32)
    refused(host, "IMA_ENTRY_MISSING", "")


def test_no_list_is_no_proof(host):
    assert failed(host.appraise(ima=None)) == {"ima-list": ("IMA_LIST_ABSENT", "")}


def test_key_must_be_as_a_rule_says(host):
    host.entries.append(buf(".ima", b"a key"))
    refused(host, "IMA_BUFFER_REFUSED")
    digest = hashlib.sha256(b"a key").hexdigest()
    host.rules(SECTION + f"  buffers: [{{name: .ima, digests: ['{digest}']}}]\n")
    assert host.appraise().verdict.trusted
    host.entries.append(buf(".ima", b"another key"))
    refused(host, "IMA_BUFFER_REFUSED", "ima 6")


def test_buffer_is_never_taken_for_a_file(host):
    path, content = next(iter(GOOD.items()))
    host.entries.append(buf(path, content))
    refused(host, "IMA_BUFFER_REFUSED")


def test_files_are_held_to_the_allowlist_where_all_entries_have_room_for_a_buffer(host):
    """ima_template=ima-buf: entries of files, and boot_aggregate, have an empty one."""
    files = [unbuffered(*one) for one in GOOD.items()]
    values = b"".join(host.tpm.pcrs["sha256"][n] for n in range(10))
    host.entries = [unbuffered("boot_aggregate", values), *files]
    assert host.appraise().verdict.trusted
    host.seen = None
    host.entries.append(unbuffered("/usr/bin/ls", b"another"))
    refused(host, "IMA_FILE_REFUSED")


SELINUX = """  buffers:
    - {name: selinux-state, like: ['initialized=1;enforcing=1;*'], required: true}
    - {name: dm_table_load, text: ['dm_version=4.47.0;']}
"""


def test_critical_data_must_be_there_and_as_a_rule_says_every_time(host):
    host.rules(SECTION + SELINUX)
    refused(host, "IMA_ENTRY_MISSING", "")
    host.entries.append(buf("selinux-state", b"initialized=1;enforcing=1;checkreqprot=0;"))
    host.entries.append(buf("dm_table_load", b"dm_version=4.47.0;"))
    assert host.appraise().verdict.trusted
    host.entries.append(ng("/usr/bin/ls", b"ls"))
    assert host.appraise().verdict.trusted  # the state was in the part before
    host.entries.append(buf("selinux-state", b"initialized=1;enforcing=0;checkreqprot=0;"))
    refused(host, "IMA_BUFFER_REFUSED", "ima 8")


def test_second_host_with_critical_data_is_trusted_like_the_first(host):
    """The first left known entries behind, for all hosts of the policy."""
    host.rules(SECTION + SELINUX)
    host.entries.insert(3, buf("selinux-state", b"initialized=1;enforcing=1;checkreqprot=0;"))
    host.entries.append(buf("dm_table_load", b"dm_version=4.47.0;"))
    assert host.appraise().verdict.trusted
    host.seen = None
    found = host.appraise()
    assert failed(found) == {}
    assert found.ima.entries == 6


def test_signed_file_needs_no_allowlist(host):
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (host.directory / "vendor.pem").write_bytes(pem)
    host.rules(SECTION + "  signed_by: [vendor.pem]\n")
    digest = hashlib.sha256(b"new").digest()
    value = key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256())))
    identifier = next(iter(read_keyring(pem.decode()).keys))
    signature = b"\x03\x02\x04" + identifier + len(value).to_bytes(2, "big") + value
    host.entries.append(sig("/opt/new", b"new", signature))
    assert host.appraise().verdict.trusted
    host.entries.append(sig("/opt/other", b"other", signature))
    refused(host, "IMA_FILE_REFUSED", "ima 6")


def test_image_keys_are_wrapped_to_pcrs_that_stay(host):
    assert selection_of(host.policy) == {"sha256": list(range(11))}
    assert steady_selection(host.policy) == {"sha256": list(range(10))}


def test_changed_allowlist_is_another_policy(host):
    before = host.policy.fingerprint
    host.rules(SECTION)
    assert host.policy.fingerprint == before
    with (host.directory / "files.sha256").open("a") as file:
        file.write(f"{'00' * 32}  /more\n")
    host.rules(SECTION)
    assert host.policy.fingerprint != before


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ("ima: {}\n", "nothing is accepted"),
        ("ima: {exclude: ['*']}\n", "nothing is accepted"),
        ("ima: {allow: [absent]}\n", "absent cannot be read"),
        ("ima: {allow: [../files.sha256]}\n", "without a path"),
        ("ima: {allow: [policy]}\n", "policy: line 1"),
        ("ima: {allow: files.sha256}\n", "a list"),
        ("ima: {allow: [files.sha256], bank: md5}\n", "bank"),
        ("ima: {allow: [files.sha256], violations: maybe}\n", "violations"),
        ("ima: {allow: [files.sha256], unknown: 1}\n", "unknown field"),
        ("ima: {signed_by: [files.sha256]}\n", "keyring"),
        ("ima: {buffers: [{name: x}]}\n", "anything: true"),
        ("ima: {buffers: [{name: x, anything: true, text: [y]}]}\n", "anything: true"),
        ("ima: {buffers: [{name: x, digests: ['00']}]}\n", "64 hexadecimal"),
        ("ima: {buffers: [{text: [y]}]}\n", "name"),
    ],
)
def test_section_that_is_wrong_is_refused_by_its_field(host, section, told):
    (host.directory / "policy").write_text("no list\n")
    with pytest.raises(PolicyError, match=told):
        host.rules(section)
