# SPDX-License-Identifier: Apache-2.0
"""What Glance is told of a sealed image, through the real openstacksdk."""

from __future__ import annotations

import openstack.connection
import pytest
from keystoneauth1 import fixture, session
from keystoneauth1.identity import v3

from e2etrust_client import image_upload
from e2etrust_client.errors import ClientError
from e2etrust_core.sealed import inspection, sealing
from tests.functional.sealed import disks

KEY_ID = "12345678-1234-1234-1234-123456789abc"
IMAGE = "bbbbbbbb-1234-1234-1234-123456789abc"
BASE = "http://glance.example:9292"


@pytest.fixture
def glance(requests_mock):
    token = fixture.V3Token(project_id="p")
    token.add_service("image").add_standard_endpoints(public=BASE)
    requests_mock.post("http://id/v3/auth/tokens", json=token, headers={"X-Subject-Token": "t"})
    requests_mock.get("http://id/v3", json={"version": fixture.V3Discovery("http://id/v3")})
    discovery = fixture.DiscoveryList(v2=False, v3=False)
    discovery.add_v2(f"{BASE}/v2/", id="v2.9")
    requests_mock.get(BASE, json=discovery)
    requests_mock.get(f"{BASE}/", json=discovery)
    shown = {"id": IMAGE, "name": "n", "status": "active", "disk_format": "raw", "min_disk": 1}
    requests_mock.post(f"{BASE}/v2/images", json={**shown, "status": "queued"}, status_code=201)
    requests_mock.get(f"{BASE}/v2/images/{IMAGE}", json=shown)
    requests_mock.delete(f"{BASE}/v2/images/{IMAGE}", status_code=204)
    received = []

    def take(request, context):
        while piece := request.body.read(65536):
            received.append(piece)
        context.status_code = 204
        return ""

    requests_mock.put(f"{BASE}/v2/images/{IMAGE}/file", text=take)
    requests_mock.received = received
    return requests_mock


@pytest.fixture
def images(glance):
    auth = v3.Token("http://id/v3", "token", project_id="p")
    return openstack.connection.Connection(session=session.Session(auth=auth)).image


@pytest.fixture
def sealed(tmp_path):
    source = disks.ext(tmp_path / "source", disks.tree(tmp_path / "tree"), 32 << 20)
    path = tmp_path / "sealed"
    request = sealing.SealRequest(source, path, KEY_ID, "main", "raw")
    sealing.seal(request, sealing.new_key(), lambda *_: None)
    return path


def test_bytes_and_properties_arrive(glance, images, sealed):
    seen = []
    facts = inspection.inspect(sealed)
    image = image_upload.upload(
        images, sealed, "n", facts, {"hw_firmware_type": "uefi"}, lambda *p: seen.append(p)
    )
    assert image.id == IMAGE
    assert b"".join(glance.received) == sealed.read_bytes()
    assert seen[-1] == ("uploading", sealed.stat().st_size, sealed.stat().st_size)
    told = next(
        r for r in glance.request_history if r.method == "POST" and "images" in r.url
    ).json()
    expected = {
        "name": "n",
        "disk_format": "raw",
        "container_format": "bare",
        "min_disk": 1,
        "hw_firmware_type": "uefi",
        "os_encrypt_format": "LUKSv2",
        "os_encrypt_cipher": "sm4-xts-plain64",
        "os_encrypt_key_id": KEY_ID,
        "os_encrypt_key_deletion_policy": "do_not_delete",
        "os_decrypt_size": str(32 << 20),
        "e2etrust_sealed": "main",
    }
    assert {name: told.get(name) for name in expected} == expected


def test_a_disk_of_whole_gibibytes_needs_one_more_for_its_header(glance, images, tmp_path):
    source = tmp_path / "source"
    disks.ext(source, disks.tree(tmp_path / "tree"), 1 << 30)
    request = sealing.SealRequest(source, tmp_path / "sealed", KEY_ID, "main")
    sealing.seal(request, sealing.new_key(), lambda *_: None)
    facts = inspection.inspect(tmp_path / "sealed")
    image_upload.upload(images, tmp_path / "sealed", "n", facts, {}, lambda *_: None)
    told = next(
        r for r in glance.request_history if r.method == "POST" and "images" in r.url
    ).json()
    assert (told["disk_format"], told["min_disk"]) == ("qcow2", 2)


def test_a_failed_upload_leaves_no_image(glance, images, sealed):
    glance.put(f"{BASE}/v2/images/{IMAGE}/file", status_code=413)
    facts = inspection.inspect(sealed)
    with pytest.raises(ClientError) as caught:
        image_upload.upload(images, sealed, "n", facts, {}, lambda *_: None)
    assert caught.value.code == "UPLOAD_REFUSED"
    assert [r.url for r in glance.request_history if r.method == "DELETE"]


def test_a_property_of_ours_cannot_be_given(images, sealed):
    facts = inspection.inspect(sealed)
    with pytest.raises(ClientError) as caught:
        image_upload.upload(images, sealed, "n", facts, {"os_encrypt_format": "x"}, lambda *_: None)
    assert caught.value.code == "PROPERTY_RESERVED"
