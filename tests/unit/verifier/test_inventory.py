# SPDX-License-Identifier: Apache-2.0
"""Which TPM is expected of which host: over the REST API, down to the rows."""

from __future__ import annotations

import hashlib

import falcon
import pytest
from falcon import testing
from oslo_config import cfg

from e2etrust_verifier import policies
from e2etrust_verifier.api import errors, inventory
from e2etrust_verifier.api.access import Access
from e2etrust_verifier.db import hosts
from tests.unit.verifier.test_api import ADMIN, database, token  # noqa: F401

EK = hashlib.sha256(b"ek").hexdigest()  # of host1 and host2, who are enrolled
OTHER = hashlib.sha256(b"another").hexdigest()


@pytest.fixture
def client(database):  # noqa: F811
    conf = cfg.ConfigOpts()
    conf([])
    access, app = Access(policies.make_enforcer(conf)), falcon.App()
    app.add_route("/v1/inventory", inventory.Inventory(database, access))
    app.add_route("/v1/inventory/{name}", inventory.ExpectedHost(database, access))
    errors.install(app)
    return testing.TestClient(app)


def put(client, name, *digests, headers=ADMIN, **more):
    body = {"ek_sha256": list(digests), **more}
    return client.simulate_put(f"/v1/inventory/{name}", headers=headers, json=body)


def listed(client, **params):
    return client.simulate_get("/v1/inventory", headers=ADMIN, params=params).json


def test_what_is_expected_is_listed_with_who_said_so(client):
    assert put(client, "new1", OTHER, EK.upper()).status_code == 200
    (found,) = listed(client)["inventory"]
    assert found["host"] == "new1"
    assert found["by"] == "u"
    assert not found["enrolled"]
    assert found["ek_sha256"] == sorted([EK, OTHER])


def test_what_is_said_last_counts_and_nothing_else(client):
    put(client, "new1", EK)
    put(client, "new1", OTHER)
    assert listed(client)["inventory"][0]["ek_sha256"] == [OTHER]


def test_host_that_is_enrolled_with_that_tpm_stays_so(client, database):  # noqa: F811
    answer = put(client, "host1", EK)
    assert answer.status_code == 200
    assert answer.json["enrolled"] is True
    assert database.read(lambda s: hosts.find(s, "host1")) is not None


def test_host_of_another_tpm_is_not_replaced_by_the_way(client, database):  # noqa: F811
    answer = put(client, "host1", OTHER)
    assert answer.status_code == 409
    assert answer.json["error"]["code"] == "HOST_KNOWN"
    assert "--replace" in answer.json["error"]["remedy"]
    assert listed(client)["inventory"] == []
    assert database.read(lambda s: hosts.find(s, "host1")) is not None


def test_replaced_host_loses_its_keys_and_its_lease(client, database):  # noqa: F811
    answer = put(client, "host1", OTHER, replace=True)
    assert answer.status_code == 200
    assert answer.json["enrolled"] is False
    assert database.read(lambda s: hosts.find(s, "host1")) is None
    assert database.read(lambda s: hosts.state(s, "host1")).lease_id is None


@pytest.mark.parametrize("digests", [[], ["12"], ["g" * 64], [f"{n:064x}" for n in range(17)]])
def test_no_digests_are_refused_with_what_tells_them(client, digests):
    answer = put(client, "new1", *digests)
    assert answer.status_code == 400
    assert "e2etrust-agent --show-identity" in answer.json["error"]["remedy"]


def test_name_that_no_host_can_have_is_refused(client):
    assert put(client, "a b", EK).json["error"]["code"] == "HOST_NAME_WRONG"


def test_nothing_is_expected_any_more(client):
    put(client, "new1", EK)
    path = "/v1/inventory/new1"
    assert client.simulate_delete(path, headers=ADMIN).status_code == 204
    assert listed(client)["inventory"] == []
    again = client.simulate_delete(path, headers=ADMIN)
    assert (again.status_code, again.json["error"]["code"]) == (404, "HOST_NOT_EXPECTED")


def test_list_comes_in_pages_of_whole_hosts(client):
    for name in ("a1", "b1", "c1"):
        put(client, name, EK, OTHER)
    first = listed(client, limit="2")
    assert [one["host"] for one in first["inventory"]] == ["a1", "b1"]
    assert all(len(one["ek_sha256"]) == 2 for one in first["inventory"])
    assert "marker=b1" in first["inventory_links"][0]["href"]
    assert [one["host"] for one in listed(client, marker="b1")["inventory"]] == ["c1"]


def test_only_administrators_decide_and_readers_of_the_system_read(client):
    reader = token(None, "reader", system=True)
    assert put(client, "new1", EK, headers=reader).status_code == 403
    assert client.simulate_get("/v1/inventory", headers=reader).status_code == 200
    assert client.simulate_get("/v1/inventory", headers=token("alice", "member")).status_code == 403


def test_change_of_what_another_changed_meanwhile_is_refused(client):
    path = "/v1/inventory/new1"
    seen = put(client, "new1", EK).headers["etag"]
    assert client.simulate_get(path, headers=ADMIN).headers["etag"] == seen
    put(client, "new1", OTHER)
    late = {**ADMIN, "If-Match": seen}
    for answer in (
        put(client, "new1", EK, headers=late),
        client.simulate_delete(path, headers=late),
    ):
        assert (answer.status_code, answer.json["error"]["code"]) == (412, "CHANGED")
    found = client.simulate_get(path, headers=ADMIN)
    assert found.json["ek_sha256"] == [OTHER]
    present = {**ADMIN, "If-Match": f'"other", {found.headers["etag"]}'}
    assert put(client, "new1", EK, headers=present).status_code == 200


def test_what_is_not_there_matches_nothing(client):
    assert put(client, "new1", EK, headers={**ADMIN, "If-Match": "*"}).status_code == 412
    assert listed(client)["inventory"] == []


def test_weak_tag_and_unreadable_ones_match_nothing(client):
    tag = put(client, "new1", EK).headers["etag"]
    for wrong in (f"W/{tag}", '"*"', "", " ", ","):
        assert put(client, "new1", OTHER, headers={**ADMIN, "If-Match": wrong}).status_code == 412
    assert put(client, "new1", OTHER, headers={**ADMIN, "If-Match": "*"}).status_code == 200


def test_what_is_expected_of_one_host_is_not_sent_again_and_of_none_is_not_found(client):
    path = "/v1/inventory/new1"
    assert client.simulate_get(path, headers=ADMIN).json["error"]["code"] == "HOST_NOT_EXPECTED"
    tag = put(client, "new1", EK).headers["etag"]
    again = client.simulate_get(path, headers={**ADMIN, "If-None-Match": tag})
    assert (again.status_code, again.text) == (304, "")
