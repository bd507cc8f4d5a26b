# SPDX-License-Identifier: Apache-2.0
"""A host with Secure Boot, IMA and SELinux, booted for real, held against policies.

doc/source/admin/policy.rst tells the same as an example.
"""

from __future__ import annotations

import ssl
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2etrust_client.appraise.main import main
from e2etrust_core.appraisal.policy_proposal import propose_policy
from e2etrust_core.evidence.event_log import parse_event_log
from e2etrust_core.evidence.events.kinds import name_of_kind
from e2etrust_core.evidence.ima_fields import decode_fields
from e2etrust_core.evidence.ima_list import IMA_PCR, entries_quoted, parse_ima_list
from e2etrust_core.evidence.replay import replay
from tests.functional.e2ehost.conftest import Boots
from tests.functional.e2ehost.recorded_host import BINDING, Recorded
from tests.unit.core.evidence.events.test_against_tpm2_eventlog import told

SNAKEOIL = Path("/usr/share/ovmf/PkKek-1-snakeoil.pem")
EXAMPLE = Path(__file__).resolve().parents[3] / "doc/source/admin/policy.rst"
MOMENTS = ["golden", "permissive", "enforcing_again", "second", "other"]


class Judge:
    """Policies and folders of evidence, given to e2etrust-appraise."""

    def __init__(self, directory: Path, boots: Boots, capsys: pytest.CaptureFixture[str]) -> None:
        self._directory, self._boots, self._capsys = directory, boots, capsys

    def learnt(self, pcrs: set[int] | None = None) -> dict[str, Any]:
        """What is learnt from the golden host; of its events those in *pcrs* only."""
        found = propose_policy(self._boots.golden.appraisal(), "compute", ["compute-*"])
        document: dict[str, Any] = yaml.safe_load(found.text)
        events = document["events"]
        if pcrs is not None:
            events["rules"] = [one for one in events["rules"] if one["pcr"] in pcrs]
            events["pcrs"] = sorted(pcrs)
            document = {"name": "compute", "hosts": ["*"], "events": events}
        return document

    def with_selinux(self, document: dict[str, Any], policy: str | None = None) -> dict[str, Any]:
        """*document*, which asks for SELinux with that policy loaded as well."""
        kernel = {"name": "kernel_version", "like": ["6.1.*"]}
        selinux = {"policies": [policy or self._boots.loaded], "flags": {"checkreqprot": False}}
        return document | {"ima": {"buffers": [kernel]}, "mac": {"selinux": selinux}}

    def says(self, document: dict[str, Any], recorded: Recorded) -> tuple[int, str]:
        """Exit status and output of e2etrust-appraise."""
        place = self._directory / f"{len(list(self._directory.iterdir()))}"
        folder = recorded.write(place / "evidence")
        policy = place / "policy.yaml"
        policy.write_text(yaml.safe_dump(document, sort_keys=False))
        asked = ["--policy", str(policy), "--nonce", BINDING.hex(), "--ek-ca", str(self._boots.ca)]
        return main([str(folder), *asked]), self._capsys.readouterr().out

    def trusts(self, document: dict[str, Any], recorded: Recorded) -> None:
        status, output = self.says(document, recorded)
        assert (status, "FAIL" in output) == (0, False), output

    def refuses(self, document: dict[str, Any], recorded: Recorded, *words: str) -> str:
        """By one check only, whose line has these words and is returned."""
        status, output = self.says(document, recorded)
        failed = [line for line in output.splitlines() if line.startswith("fail")]
        assert status == 1
        assert len(failed) == 1, output
        assert all(word in failed[0] for word in words), output
        return failed[0]


@pytest.fixture
def judge(tmp_path: Path, boots: Boots, capsys: pytest.CaptureFixture[str]) -> Judge:
    return Judge(tmp_path, boots, capsys)


@pytest.mark.parametrize("moment", ["golden", "other"])
def test_log_is_decoded_as_tpm2_eventlog_does(boots, tmp_path, moment):
    path = tmp_path / "bios_log"
    path.write_bytes(getattr(boots, moment).event_log)
    ours = parse_event_log(path.read_bytes()).events
    theirs = told(path)
    assert len(theirs) == len(ours) > 20
    assert [(one.pcr, one.kind) for one in theirs] == [
        (event.pcr, name_of_kind(event.kind)) for event in ours
    ]
    digests = [{bank: value.hex() for bank, value in event.digests.items()} for event in ours]
    assert [one.digests for one in theirs] == digests


@pytest.mark.parametrize("moment", MOMENTS)
def test_logs_come_to_every_quoted_value(boots, moment):
    recorded: Recorded = getattr(boots, moment)
    quoted = recorded.quote.pcrs["sha256"]
    come_to = replay(parse_event_log(recorded.event_log), "sha256")
    assert {n: v for n, v in quoted.items() if n != IMA_PCR} == {
        n: v for n, v in come_to.items() if n in quoted and n != IMA_PCR
    }
    entries = parse_ima_list(recorded.ima)
    assert entries_quoted(entries, "sha256", quoted[IMA_PCR]) == len(entries)


def test_kernel_measures_the_state_and_the_policy_that_it_loaded(boots):
    found = [decode_fields(one) for one in parse_ima_list(boots.permissive.ima)]
    assert [one.name.decode() for one in found] == [
        *("boot_aggregate", "kernel_version", "selinux-state", "selinux-policy-hash"),
        "selinux-state",
    ]
    assert found[3].buffer.hex() == boots.loaded
    assert [one.buffer.split(b";")[:2] for one in (found[2], found[4])] == [
        [b"initialized=1", b"enforcing=1"],
        [b"initialized=1", b"enforcing=0"],
    ]


def test_enforcing_host_is_trusted(judge, boots):
    judge.trusts(judge.with_selinux(judge.learnt()), boots.golden)


def test_host_that_was_set_permissive_is_refused_though_it_enforces_again(judge, boots):
    policy = judge.with_selinux(judge.learnt())
    said = judge.refuses(policy, boots.permissive, "mac-state", "MAC_PERMISSIVE", "ima 5")
    assert said in EXAMPLE.read_text()
    assert said == judge.refuses(policy, boots.enforcing_again, "mac-state")


def test_reboot_into_enforcing_mode_brings_trust_back(judge, boots):
    judge.trusts(judge.with_selinux(judge.learnt()), boots.second)


def test_another_selinux_policy_is_refused(judge, boots):
    policy = judge.with_selinux(judge.learnt(), sha256(b"another").hexdigest())
    said = judge.refuses(policy, boots.golden, "mac-state", "MAC_POLICY_REFUSED", "ima 4")
    assert said in EXAMPLE.read_text()


def test_learnt_policy_accepts_the_next_boot_of_the_same_machine(judge, boots):
    assert boots.golden.quote.attest != boots.second.quote.attest
    judge.trusts(judge.learnt(), boots.second)


@pytest.mark.parametrize(
    ("pcr", "where"), [(4, "EV_EFI_BOOT_SERVICES_APPLICATION"), (11, "EV_IPL")]
)
def test_learnt_policy_names_the_event_of_another_command_line(judge, boots, pcr, where):
    judge.trusts(judge.learnt({pcr}), boots.second)
    judge.refuses(judge.learnt({pcr}), boots.other, "event-policy", f"(PCR {pcr}, {where})")


def test_host_without_secure_boot_is_refused_by_name(judge, boots):
    judge.refuses(judge.learnt({7}), boots.other, "event-policy", "SecureBoot is not as policy")


def test_signature_databases_hold_what_the_policy_says_and_nothing_else(judge, boots):
    certificate = ssl.PEM_cert_to_DER_cert(SNAKEOIL.read_text())
    ours = f"x509:{sha256(certificate).hexdigest()}"
    kind = {"type": "EV_EFI_VARIABLE_DRIVER_CONFIG", "pcr": 7}
    databases = [kind | {"variable": name, "only": [ours]} for name in ("PK", "KEK", "db")]
    revoked = kind | {"variable": "dbx", "including": [f"sha256:{sha256().hexdigest()}"]}
    state = kind | {"variable": "SecureBoot", "data": ["01"]}
    policy = judge.learnt({7})
    learnt = [one for one in policy["events"]["rules"] if one["type"] != kind["type"]]
    assert len(learnt) == 2  # the separator, and what let the boot program run
    policy["events"]["rules"] = [state, *databases, revoked, *learnt]
    judge.trusts(policy, boots.golden)
    databases[2]["only"] = [f"x509:{sha256(b'another').hexdigest()}"]
    judge.refuses(policy, boots.golden, "event-policy", "db is not as policy")


def test_host_whose_kernel_gives_every_entry_a_buffer_is_judged_the_same(judge, boots):
    """ima_template=ima-buf; only what its SELinux did counts here."""
    policy = {"name": "mac", "hosts": ["*"], "events": judge.learnt({2})["events"]}
    judge.trusts(judge.with_selinux(policy), boots.other)
