# SPDX-License-Identifier: Apache-2.0
"""A key is made late, read by the verifier only as told, and deleted when sealing fails."""

from __future__ import annotations

import base64
import logging
import os
import random

import pytest
from keystoneauth1 import fixture, session
from keystoneauth1.identity import v3

from e2etrust_client.errors import ClientError
from e2etrust_client.image_keys import ImageKeys
from e2etrust_client.model import ServiceInfo
from e2etrust_client.seal_with_key import KeyChoice, seal_with_key
from e2etrust_core.errors import E2ETrustError
from e2etrust_core.sealed import sealing
from e2etrust_core.sealed.image import SealedImage
from e2etrust_core.sealed.reader import SealedReader
from tests.functional.sealed import disks

KEY_ID = "aaaaaaaa-1234-1234-1234-123456789abc"
BASE = "http://keys.example:9311"


class Attestation:
    def __init__(self, user):
        self._user = user

    def info(self):
        return ServiceInfo("1", self._user)


@pytest.fixture
def barbican(requests_mock):
    """The four calls of Barbican's API, over a real keystoneauth session."""
    token = fixture.V3Token(project_id="p")
    token.add_service("key-manager").add_standard_endpoints(public=BASE)
    requests_mock.post("http://id/v3/auth/tokens", json=token, headers={"X-Subject-Token": "t"})
    requests_mock.get("http://id/v3", json={"version": fixture.V3Discovery("http://id/v3")})
    requests_mock.post(
        f"{BASE}/v1/secrets", status_code=201, json={"secret_ref": f"{BASE}/v1/secrets/{KEY_ID}"}
    )
    acl = {"read": {"users": ["u0"], "project-access": True}}
    requests_mock.get(f"{BASE}/v1/secrets/{KEY_ID}/acl", json=acl)
    requests_mock.put(f"{BASE}/v1/secrets/{KEY_ID}/acl", json={"acl_ref": "x"})
    requests_mock.delete(f"{BASE}/v1/secrets/{KEY_ID}", status_code=204)
    return requests_mock


@pytest.fixture
def keys(barbican):
    auth = v3.Token("http://id/v3", "token", project_id="p")
    return ImageKeys(session.Session(auth=auth))


@pytest.fixture
def source(tmp_path):
    return disks.ext(tmp_path / "source", disks.tree(tmp_path / "tree"), 32 << 20)


def calls(barbican, method):
    return [r for r in barbican.request_history if r.method == method and "keys" in r.url]


def silent(*_):
    pass


def test_a_new_key_is_stored_granted_and_opens_the_image(keys, barbican, source, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    request = sealing.SealRequest(source, tmp_path / "sealed", "", "main", "raw")
    _, key_id = seal_with_key(request, KeyChoice("n"), keys, Attestation("verifier"), silent)
    assert key_id == KEY_ID
    body = calls(barbican, "POST")[0].json()
    assert (body["algorithm"], body["bit_length"]) == ("SM4-XTS", 256)
    assert body["name"] == "n [e2etrust projects=p]"
    image = SealedImage.open(tmp_path / "sealed")
    assert image.key_id == KEY_ID
    SealedReader(image, base64.b64decode(body["payload"])).close()
    read = calls(barbican, "PUT")[0].json()["read"]
    assert read == {"users": ["u0", "verifier"], "project-access": True}
    assert not calls(barbican, "DELETE")
    assert body["payload"] not in caplog.text


def test_the_key_is_deleted_when_sealing_fails(keys, barbican, tmp_path):
    strange = tmp_path / "part"
    strange.write_bytes(random.Random(5).randbytes(4 << 20))
    source = disks.gpt(tmp_path / "source", 16 << 20, [(1, "8300", strange, 4)])
    request = sealing.SealRequest(source, tmp_path / "sealed", "", "main")
    with pytest.raises(E2ETrustError) as caught:
        seal_with_key(request, KeyChoice("n"), keys, Attestation("v"), silent)
    assert caught.value.code == "LAYOUT_UNSUPPORTED"
    assert len(calls(barbican, "DELETE")) == 1
    assert sorted(os.listdir(tmp_path)) == ["part", "source"]


def test_the_key_is_deleted_when_the_grant_fails(keys, barbican, source, tmp_path):
    barbican.put(f"{BASE}/v1/secrets/{KEY_ID}/acl", status_code=403)
    request = sealing.SealRequest(source, tmp_path / "sealed", "", "main")
    with pytest.raises(ClientError) as caught:
        seal_with_key(request, KeyChoice("n"), keys, Attestation("v"), silent)
    assert caught.value.code == "KEY_MANAGER_REFUSED"
    assert len(calls(barbican, "DELETE")) == 1
    assert not (tmp_path / "sealed").exists()


def test_no_key_is_made_for_a_bad_source(keys, barbican, tmp_path):
    (tmp_path / "source").write_bytes(b"x" * 100)
    request = sealing.SealRequest(tmp_path / "source", tmp_path / "sealed", "", "main")
    with pytest.raises(E2ETrustError):
        seal_with_key(request, KeyChoice("n"), keys, Attestation("v"), silent)
    assert not calls(barbican, "POST")


def test_no_key_is_made_when_nobody_tells_who_may_read_it(keys, barbican, source, tmp_path):
    request = sealing.SealRequest(source, tmp_path / "sealed", "", "main")
    with pytest.raises(ClientError) as caught:
        seal_with_key(request, KeyChoice("n"), keys, Attestation(None), silent)
    assert caught.value.code == "KEY_READER_UNKNOWN"
    assert "--grant-user" in caught.value.remedy
    assert not calls(barbican, "POST")


def test_a_missing_key_is_one_clear_error(keys, barbican, source, tmp_path):
    barbican.get(f"{BASE}/v1/secrets/{KEY_ID}/payload", status_code=404)
    request = sealing.SealRequest(source, tmp_path / "sealed", KEY_ID, "main")
    choice = KeyChoice("n", key_id=KEY_ID, reader="v")
    with pytest.raises(ClientError) as caught:
        seal_with_key(request, choice, keys, Attestation(None), silent)
    assert caught.value.code == "KEY_MISSING"
    assert not calls(barbican, "DELETE")
    assert not (tmp_path / "sealed").exists()


def test_an_existing_key_is_used_and_never_deleted(keys, barbican, source, tmp_path):
    key = sealing.new_key()
    barbican.get(f"{BASE}/v1/secrets/{KEY_ID}/payload", content=key)
    request = sealing.SealRequest(source, tmp_path / "sealed", KEY_ID, "full")
    choice = KeyChoice("n", key_id=KEY_ID, reader="v")
    seal_with_key(request, choice, keys, Attestation(None), silent)
    SealedReader(SealedImage.open(tmp_path / "sealed"), key).close()
    assert not calls(barbican, "POST")
    assert not calls(barbican, "DELETE")
