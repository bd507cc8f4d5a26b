# SPDX-License-Identifier: Apache-2.0
"""The phases of the plugin, by the functions of DevStack itself (DEVSTACK_DIR names a checkout).

Real are DevStack's functions, our commands, the database's schema, the hook's installer and the
TPM; stubs stand for what would reach out of the machine, and write down how they were called.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[2]
DEVSTACK = os.environ.get("DEVSTACK_DIR", "")
STACK = ("stack:pre-install", "stack:install", "stack:post-config", "stack:extra")
ALL_IN_ONE, CONTROLLER, COMPUTE = "n-api,n-sch,n-cpu,barbican", "n-api,n-sch,barbican", "n-cpu"

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="mounts are for root"),
    pytest.mark.skipif(
        not DEVSTACK, reason="set DEVSTACK_DIR to a checkout of openstack/devstack to run these"
    ),
]


@dataclass(frozen=True)
class Node:
    """What a run left: files of /etc and /var/lib as written, and the calls of the stubs."""

    work: Path
    output: str

    def etc(self, name: str) -> Path:
        return self.work / "etc.upper" / name

    def conf(self, name: str) -> ConfigParser:
        found = ConfigParser(interpolation=None, strict=False)
        assert found.read(self.etc(name)), f"{name} was not written"
        return found

    @property
    def calls(self) -> list[str]:
        return (self.work / "calls").read_text().splitlines()

    def called(self, *words: str) -> list[str]:
        return [call for call in self.calls if all(word in call for word in words)]


def run(work: Path, services: str, *phases: str) -> Node:
    arguments = [DEVSTACK, CHECKOUT, Path(sys.prefix), work, services, *phases]
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "bash", HERE / "phases.sh"]
        + [str(one) for one in arguments],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return Node(work, done.stdout)


@pytest.fixture(scope="module")
def stacked(tmp_path_factory):
    """One node with everything, stacked, unstacked and stacked again."""
    return run(tmp_path_factory.mktemp("aio"), ALL_IN_ONE, *STACK, "unstack", *STACK)


def test_verifier_is_configured_and_its_file_is_private(stacked):
    conf = stacked.conf("e2etrust/verifier.conf")
    assert stacked.etc("e2etrust/verifier.conf").stat().st_mode & 0o777 == 0o600
    assert conf["DEFAULT"]["transport_url"].startswith("rabbit://stackrabbit:secret@")
    assert conf["keystone_authtoken"]["service_type"] == "attestation"
    assert conf["service_auth"]["username"] == conf["placement"]["username"] == "e2etrust"
    assert conf["key_manager"]["backend"] == "barbican"


def test_schema_and_signing_key_are_there(stacked):
    assert (stacked.work / "e2etrust.sqlite").stat().st_size > 0
    assert stacked.etc("e2etrust/signing-key.pem").stat().st_mode & 0o777 == 0o600


def test_scheduler_has_filter_and_weigher_once(stacked):
    text = stacked.etc("nova/nova.conf").read_text()
    (filters,) = re.findall(r"^enabled_filters = (.*)$", text, re.MULTILINE)
    assert filters.split(",") == ["ComputeFilter", "TrustedHostFilter"]
    assert re.findall(r"^available_filters = (.*)$", text, re.MULTILINE) == [
        "nova.scheduler.filters.all_filters",
        "e2etrust_nova.scheduler.filters.TrustedHostFilter",
    ]
    weighers = re.findall(r"^weight_classes = (.*)$", text, re.MULTILINE)
    assert weighers[-1] == "e2etrust_nova.scheduler.weighers.FreshnessWeigher"


def test_agent_and_hook_are_in_place_and_libvirtd_looks_again(stacked):
    conf = stacked.conf("e2etrust/agent.conf")
    assert stacked.etc("e2etrust/agent.conf").stat().st_mode & 0o777 == 0o600
    assert conf["agent"]["tcti"] == f"swtpm:path={stacked.work}/data/e2etrust/tpm/tpm.sock"
    (key,) = json.loads(stacked.etc("e2etrust/verifier-keys.json").read_text())["keys"]
    assert key["crv"] == "P-256"
    for pinned in (conf["agent"], stacked.conf("nova/nova.conf")["e2etrust"]):
        assert pinned["verifier_keys"] == "/etc/e2etrust/verifier-keys.json"
    assert "e2etrust-libvirt-hook" in stacked.etc("libvirt/hooks/qemu").read_text()
    assert stacked.called("systemctl restart libvirtd")
    nova = stacked.conf("nova/nova-cpu.conf")
    assert nova["libvirt"]["swtpm_enabled"] == "True"
    assert nova["workarounds"]["disable_libvirt_livesnapshot"] == "True"


def test_service_is_in_the_catalogue_with_an_account_of_its_own(stacked):
    assert stacked.called("user create e2etrust")
    assert stacked.called("role add service --user e2etrust")
    assert stacked.called("endpoint create attestation public http://127.0.0.1/attestation")


def test_host_is_enrolled_by_the_key_of_its_own_tpm_which_stays_the_same(stacked):
    enrolled = stacked.called("attestation host enrol")
    keys = {re.search(r"--ek-sha256 ([0-9a-f]{64}) --replace$", call)[1] for call in enrolled}
    assert len(enrolled) == 2
    assert len(keys) == 1


def test_services_are_started_the_gate_before_the_agent(stacked):
    started = [call.split("@")[1] for call in stacked.called("systemctl start devstack@")]
    assert (
        started == [f"e2etrust-{name}.service" for name in ("verifier", "api", "tpm", "agent")] * 2
    )
    unit = stacked.conf("systemd/system/devstack@e2etrust-agent.service")["Service"]
    assert unit["User"] == "root"


def test_host_is_learnt_from_once_and_nobody_is_trusted_by_default(stacked):
    policies = sorted(path.name for path in stacked.etc("e2etrust/host-policy.d").iterdir())
    assert policies[-1] == "zz-observe.yaml"
    assert re.fullmatch(r"10-\S+\.yaml", policies[0])
    assert len(stacked.called("policy learn")) == 1


def test_clean_leaves_nothing_of_ours(tmp_path):
    node = run(tmp_path, ALL_IN_ONE, *STACK, "unstack", "clean")
    assert not node.etc("e2etrust").is_dir()
    assert list(node.etc("libvirt/hooks").iterdir()) == []
    assert not node.etc("systemd/system/e2etrust-agent.service").is_file()
    assert not (tmp_path / "data/e2etrust").exists()
    assert len(node.called("systemctl disable devstack@e2etrust-")) == 4


def test_compute_node_has_the_agent_alone(tmp_path):
    node = run(tmp_path, COMPUTE, *STACK)
    assert not node.etc("e2etrust/verifier.conf").exists()
    assert node.called("attestation host enrol")
    assert not node.called("policy learn")
    assert not node.called("user create e2etrust")
    assert "a-key" in node.etc("e2etrust/verifier-keys.json").read_text()
    assert node.conf("e2etrust/agent.conf")["DEFAULT"]["transport_url"].startswith("rabbit://")


def test_controller_has_no_agent_and_no_hook(tmp_path):
    node = run(tmp_path, CONTROLLER, *STACK)
    assert not node.etc("e2etrust/agent.conf").exists()
    assert not node.etc("libvirt/hooks/qemu").exists()
    assert not node.called("attestation host enrol")
    assert "e2etrust-agent" not in node.output
