# SPDX-License-Identifier: Apache-2.0
"""IMA rules on a real TPM: what is new of a list, through both databases."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from e2etrust_agent.measurement_logs import MeasurementLogs
from e2etrust_core.evidence.ima_frames import split_ima_list
from e2etrust_core.evidence.tpm_structures import decode_quote
from e2etrust_core.messages import RemoteRefusal
from e2etrust_core.tpm.pcr import extend_pcr, read_pcrs
from tests.unit.core.ima_writer import buf, extended, ng

FILES = {f"/usr/bin/{name}": name.encode() for name in ("bash", "ls", "qemu")}


class MeasuredHost:
    """A host whose kernel keeps an IMA list, as a file; evidence is taken as the agent does."""

    def __init__(self, laboratory) -> None:
        self.laboratory = laboratory
        self.directory = laboratory.directory
        self.list = self.directory / "binary_runtime_measurements"
        self.list.write_bytes(b"")
        self.logs = MeasurementLogs(ima_list=self.list)
        self.host = laboratory.host()
        self.allow(FILES)
        self.policy()
        self.host.enrol()
        self.sent: list[int] = []

    def boot(self) -> None:
        values = read_pcrs(self.host.tpm, {"sha256": list(range(10))})["sha256"]
        self.list.write_bytes(b"")
        self.run("boot_aggregate", b"".join(values[n] for n in range(10)))

    def run(self, path: str, content: bytes) -> None:
        self.measure(ng(path, content))

    def measure(self, entry: bytes) -> None:
        digest = extended(split_ima_list(entry).entry(0).hashed)
        extend_pcr(self.host.tpm, 10, {"sha256": digest})
        self.list.write_bytes(self.list.read_bytes() + entry)

    def allow(self, files: dict[str, bytes]) -> None:
        told = [(hashlib.sha256(content).hexdigest(), path) for path, content in files.items()]
        (self.directory / "policy.d").mkdir(exist_ok=True)
        (self.directory / "policy.d/files.sha256").write_text(
            "".join(f"{digest}  {path}\n" for digest, path in told)
        )

    def policy(self, **changes) -> None:
        self.laboratory.policy(ima="{allow: [files.sha256]}", **changes)

    def answer(self):
        challenge = self.host.challenge()
        answer = self.host.answer(challenge)
        boot = decode_quote(answer.evidence.quote.attest).clock_info.reset_count
        start = challenge.ima.offset if challenge.ima.reset_count == boot else 0
        part = self.logs.read_ima_list(start)
        self.sent.append(len(part))
        return replace(answer, evidence=replace(answer.evidence, ima=part, ima_from=start))

    def attest(self):
        return self.host.send(self.answer())


@pytest.fixture
def measured(laboratory) -> MeasuredHost:
    host = MeasuredHost(laboratory)
    host.boot()
    host.run("/usr/bin/bash", b"bash")
    return host


def codes(result) -> set[str]:
    return {check.code for check in result.checks if check.outcome == "fail"}


def test_only_what_is_new_is_sent_and_the_bad_is_named(measured):
    assert measured.attest().trusted
    whole = measured.list.stat().st_size
    assert measured.attest().trusted
    measured.run("/usr/bin/ls", b"ls")
    assert measured.attest().trusted
    assert measured.sent == [whole, 0, measured.list.stat().st_size - whole]
    measured.run("/tmp/evil", b"evil")
    result = measured.attest()
    assert codes(result) == {"IMA_FILE_REFUSED"}
    failed = [check for check in result.checks if check.outcome == "fail"]
    assert failed[0].where == "ima 4"
    # The list keeps it until a reboot: all of it is looked at again, and it is found again.
    assert codes(measured.attest()) == {"IMA_FILE_REFUSED"}
    assert measured.sent[-1] == measured.list.stat().st_size


def test_file_added_to_the_allowlist_brings_the_host_back(measured):
    measured.run("/opt/new", b"new")
    assert codes(measured.attest()) == {"IMA_FILE_REFUSED"}
    measured.allow({**FILES, "/opt/new": b"new"})
    assert measured.attest().trusted


def test_file_taken_off_the_allowlist_ends_trust_in_who_ran_it(measured):
    assert measured.attest().trusted
    measured.allow({"/usr/bin/ls": b"ls"})
    assert codes(measured.attest()) == {"IMA_FILE_REFUSED"}
    assert measured.sent[-1] == measured.list.stat().st_size


def test_policy_changed_between_challenge_and_answer_condemns_nobody(measured):
    assert measured.attest().trusted
    answer = measured.answer()
    measured.allow({"/usr/bin/bash": b"bash"})
    with pytest.raises(RemoteRefusal) as caught:
        measured.host.send(answer)
    assert caught.value.code == "EVIDENCE_STALE"
    assert measured.attest().trusted


def test_list_of_the_new_boot_is_sent_whole(measured):
    assert measured.attest().trusted
    measured.laboratory.first.power_cycle()
    measured.policy()
    measured.boot()
    measured.run("/usr/bin/ls", b"ls")
    measured.run("/usr/bin/qemu", b"qemu")
    assert measured.attest().trusted
    assert measured.sent[-1] == measured.list.stat().st_size


def test_answers_in_another_order_than_they_were_drawn(measured):
    assert measured.attest().trusted
    first = measured.answer()
    measured.run("/usr/bin/ls", b"ls")
    second = measured.answer()
    assert measured.host.send(second).trusted
    assert measured.host.send(first).trusted
    measured.run("/usr/bin/qemu", b"qemu")
    assert measured.attest().trusted
    assert measured.sent[-1] == len(ng("/usr/bin/qemu", b"qemu"))


def test_another_worker_goes_on_where_this_one_ended(measured):
    """All that is kept is in the database."""
    assert measured.attest().trusted
    fresh = type(measured.laboratory.endpoint)(measured.laboratory.around)
    measured.laboratory.around.policies._stamp = None  # its policies are read anew
    measured.laboratory.endpoint = fresh
    measured.run("/usr/bin/ls", b"ls")
    assert measured.attest().trusted
    assert measured.sent[-1] == len(ng("/usr/bin/ls", b"ls"))


def test_host_that_was_permissive_once_is_untrusted_until_it_reboots(measured):
    loaded = hashlib.sha256(b"the SELinux policy").digest()
    section = f"{{selinux: {{policies: ['{loaded.hex()}']}}}}"

    def boot() -> None:
        measured.boot()
        measured.measure(buf("selinux-state", b"initialized=1;enforcing=1;checkreqprot=0;"))
        measured.measure(buf("selinux-policy-hash", loaded))

    boot_again = measured.laboratory.first.power_cycle
    measured.policy(mac=section)
    assert codes(measured.attest()) == {"MAC_UNMEASURED"}
    boot_again()
    measured.policy(mac=section)
    boot()
    assert measured.attest().trusted
    measured.run("/usr/bin/ls", b"ls")
    assert measured.attest().trusted
    measured.measure(buf("selinux-state", b"initialized=1;enforcing=0;checkreqprot=0;"))
    for _ in range(2):  # enforcing again is a repeat, which IMA does not measure
        result = measured.attest()
        assert {check.check for check in result.checks if check.outcome == "fail"} == {"mac-state"}
        assert codes(result) == {"MAC_PERMISSIVE"}
    boot_again()
    boot()
    assert measured.attest().trusted
