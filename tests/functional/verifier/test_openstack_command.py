# SPDX-License-Identifier: Apache-2.0
"""Every ``openstack`` command of ours, as it is registered, against the whole application: what it
answers as JSON, and what it says where it cannot."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import entry_points
from types import SimpleNamespace

import pytest
from openstack.exceptions import DuplicateResource, NotFoundException

from e2etrust_client import image_upload
from e2etrust_client.errors import ClientError
from e2etrust_client.osc.v1 import sealed_image, server
from e2etrust_core.appraisal.model import CheckResult, Verdict
from e2etrust_core.sealed import sealing
from e2etrust_verifier.db.models import Refusal
from tests.functional.sealed import disks
from tests.functional.verifier.openstack_command import openstack
from tests.functional.verifier.page_fleet import PageFleet, served

COMMANDS = {e.name: e for e in entry_points(group="openstack.attestation.v1")}
SERVER = "0a0a0a0a-1111-4222-8333-444444444444"
KEY = "12345678-1234-1234-1234-123456789abc"
EK = "ab" * 32
RED, GOOD, OTHER = "edge-01", "compute-001", "compute-002"
#: What is said behind the name of each; those that alter something stand last.
WORDS = {
    "attestation_host_list": ["--state", "trusted", "--state", "untrusted"],
    "attestation_host_show": [RED],
    "attestation_host_history": [RED],
    "attestation_host_result": [GOOD, "--token"],
    "attestation_host_evidence_list": [GOOD],
    "attestation_host_evidence_save": [GOOD, "{directory}/evidence"],
    "attestation_enrolment_list": [],
    "attestation_enrolment_show": [GOOD],
    "attestation_policy_list": [],
    "attestation_policy_show": ["edge"],
    "attestation_policy_learn": [GOOD],
    "attestation_policy_test": ["{policy}", GOOD],
    "attestation_policy_import_keylime": ["{keylime}", "--directory", "{directory}/keylime"],
    "attestation_server_show": [SERVER],
    "attestation_server_verify": [SERVER],
    "attestation_event_list": ["--host", RED],
    "sealed_image_create": ["{disk}", "{directory}/made", "--layout", "full", "--quiet-progress"],
    "sealed_image_upload": ["{sealed}", "debian", "--quiet-progress"],
    "sealed_image_show": ["{sealed}"],
    "sealed_image_header": ["{sealed}", "{directory}/header"],
    "attestation_host_revoke": [GOOD, "--reason", "the disk was swapped"],
    "attestation_host_approve": [GOOD],
    "attestation_host_enrol": ["compute-009", "--ek-sha256", EK],
    "attestation_host_inventory_list": [],
    "attestation_host_inventory_delete": ["compute-009"],
    "attestation_host_delete": [OTHER],
}


class Keys:
    """Stands in for Barbican."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def store(self, _name: str, _key: bytes) -> str:
        return KEY

    def grant(self, _key_id: str, _user: str) -> None:
        pass


@pytest.fixture(scope="module")
def cloud(tmp_path_factory) -> Iterator[SimpleNamespace]:
    directory = tmp_path_factory.mktemp("cloud")
    fleet = PageFleet(directory)
    for name in (GOOD, OTHER, RED):
        fleet.enrol(name)
        fleet.attest(name)
    fleet.tpms[RED].pcrs["sha256"][4] = b"\xa5" * 32
    fleet.attest(RED)
    fleet.later(200)
    fleet.attest(GOOD)
    refused = Refusal(
        instance=SERVER,
        project=None,
        host=RED,
        told_by="host",
        code="LEASE_NONE",
        reason="no lease",
        remedy="ask the operator",
        at=fleet.now,
    )
    fleet.around.db.write(lambda s: s.add(refused))
    disk = disks.ext(directory / "disk", disks.tree(directory / "tree"), 32 << 20)
    sealed = directory / "sealed"
    request = sealing.SealRequest(disk, sealed, KEY, "full", "raw")
    sealing.seal(request, sealing.new_key(), lambda *_: None)
    keylime = directory / "keylime.json"
    keylime.write_text(json.dumps({"meta": {"version": 1}, "digests": {"/bin/a": ["11" * 32]}}))
    files = {
        "policy": directory / "host-policy.d" / "compute.yaml",
        "keylime": keylime,
        "disk": disk,
        "sealed": sealed,
        "directory": directory,
    }
    with served(fleet.conf) as url:
        yield SimpleNamespace(url=url, files=files)
    fleet.around.db.dispose()


@pytest.fixture
def others(monkeypatch):
    """What Nova, Glance, Barbican and a server's TPM have to do with it is not asked for here."""
    monkeypatch.setattr(server, "find_server", lambda _manager, name: name)
    found = SimpleNamespace(
        record=SimpleNamespace(jti="launch", host=GOOD),
        verdict=Verdict([CheckResult("record-signature", "pass", "signed")]),
    )
    monkeypatch.setattr(server, "verify", lambda *_: found)
    monkeypatch.setattr(sealed_image, "ImageKeys", Keys)
    image = SimpleNamespace(id="i", name="n", status="active", disk_format="raw", size=1)
    image.min_disk = 1
    monkeypatch.setattr(image_upload, "upload", lambda *_: image)


def test_every_registered_command_is_walked():
    assert set(WORDS) == set(COMMANDS)


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize("name", WORDS)
def test_command_answers_json_with_the_fields_that_its_help_tells(cloud, name):
    kind = COMMANDS[name].load()
    words = [word.format(**cloud.files) for word in WORDS[name]]
    answers = hasattr(kind, "FIELDS")
    told = openstack(cloud.url, *name.split("_"), *words, *(["-f", "json"] if answers else []))
    assert told.status == 0, told.errors
    if not answers:
        return
    found = json.loads(told.output)
    assert found
    rows = found if isinstance(found, list) else [found]
    for row in rows:
        # policy test tells of one host or of many, and has the fields of both.
        assert set(row) <= set(kind.FIELDS)
        if name != "attestation_policy_test":
            assert list(row) == list(kind.FIELDS)


@pytest.mark.usefixtures("others")
def test_policy_test_of_a_fleet_has_its_own_fields(cloud):
    kind = COMMANDS["attestation_policy_test"].load()
    policy = cloud.files["policy"].with_name("edge.yaml")
    told = openstack(cloud.url, "attestation", "policy", "test", str(policy), "-f", "json")
    (row,) = json.loads(told.output)
    assert (row["Host"], row["After"]) == (RED, False)
    assert set(row) <= set(kind.FIELDS)


LIST = ("attestation", "host", "list")
SHOW = ("attestation", "host", "show")
TEST = ("attestation", "policy", "test")
NAME = "Next: name another file, or see who may read and write it"


def test_what_stands_in_the_way_is_one_sentence_with_a_remedy(cloud):
    (directory := cloud.files["directory"] / "wrong").mkdir()
    (directory / "binary").write_bytes(b"\xff\xfe\0")
    (directory / "broken").write_text("name: [")
    cases = [
        (
            openstack("http://127.0.0.1:1", *LIST),
            "SERVICE_DOWN: the attestation service cannot be reached: Unable to establish"
            " connection to http://127.0.0.1:1/v1/hosts. Next: check `openstack catalog show"
            " attestation` and that the service runs",
        ),
        (
            openstack(cloud.url, *LIST, token="tenant"),  # noqa: S106
            "FORBIDDEN: policy does not allow attestation:host:list. Next: ask with a role that the"
            " operator's policy allows",
        ),
        (
            openstack(cloud.url, *LIST, token="nobody"),  # noqa: S106
            "UNAUTHENTICATED: the request has no valid token. Next: send a valid keystone token",
        ),
        (
            openstack(cloud.url, "--os-attestation-api-version", "7", *LIST),
            "attestation API version 7 is none that this client speaks. Next: set"
            " --os-attestation-api-version to 1",
        ),
        (
            openstack(cloud.url, *SHOW, "nobody"),
            "HOST_UNKNOWN: no such host is enrolled. Next: start e2etrust-agent on it and look at"
            " its log",
        ),
        (
            openstack(cloud.url, *SHOW, "edge"),
            f"HOST_UNKNOWN: no such host is enrolled. Next: name it in full: {RED}",
        ),
        (
            openstack(cloud.url, *TEST, f"{directory}/binary", GOOD),
            f"FILE_UNUSABLE: {directory}/binary cannot be read: it is not text in UTF-8. {NAME}",
        ),
        (
            openstack(cloud.url, *TEST, f"{directory}/none", GOOD),
            f"FILE_UNUSABLE: {directory}/none cannot be read: No such file or directory. {NAME}",
        ),
        (
            openstack(cloud.url, *TEST, f"{directory}/broken", GOOD),
            f"POLICY_MALFORMED: {directory}/broken: the policy is not YAML (line 1). Next: correct"
            " the policy: e2etrust-manage policy check FILE says what is wrong",
        ),
    ]
    assert [(told.status, told.output, told.errors) for told, _ in cases] == [
        (1, "", f"{said}\n") for _, said in cases
    ]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (NotFoundException("none"), "SERVER_UNKNOWN"),
        (DuplicateResource("two"), "SERVER_AMBIGUOUS"),
        (AttributeError("find_server"), "COMPUTE_DOWN"),
    ],
)
def test_server_that_nova_does_not_tell_is_said(answer, code):
    def find_server(*_: object, **__: object) -> None:
        raise answer

    nova = SimpleNamespace(compute=SimpleNamespace(find_server=find_server))
    with pytest.raises(ClientError) as caught:
        server.find_server(nova, "web")
    assert caught.value.code == code
