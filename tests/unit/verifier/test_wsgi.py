# SPDX-License-Identifier: Apache-2.0
"""The whole application, with authentication before it and no keystone behind it."""

from __future__ import annotations

import pytest
from falcon import testing
from oslo_config import cfg
from prometheus_client.parser import text_string_to_metric_families

from e2etrust_verifier import conf as configuration
from e2etrust_verifier.api.wsgi import make_application
from e2etrust_verifier.db import migration
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.trust import records


@pytest.fixture
def client(tmp_path):
    path = tmp_path / "verifier.conf"
    path.touch(mode=0o600)
    path.write_text(
        "[DEFAULT]\ntransport_url = kombu+memory:////\n"
        f"[database]\nconnection = sqlite:///{tmp_path}/v.sqlite\n"
        f"[verifier]\nsigning_key = {tmp_path}/key.pem\n"
        "[keystone_authtoken]\nauth_url = http://127.0.0.1:9/v3\nauth_type = password\n"
    )
    # Not the process-wide object: other tests of this process have Nova's options in that.
    conf = configuration.load([str(path)], cfg.ConfigOpts())
    migration.sync(Database(conf))
    records.create_key(tmp_path / "key.pem")
    return testing.TestClient(make_application(conf))


def test_identity_made_up_by_the_caller_is_not_believed(client):
    made_up = {"X-Identity-Status": "Confirmed", "X-Roles": "admin", "X-Project-Id": "p"}
    answer = client.simulate_get("/v1/hosts", headers=made_up)
    assert (answer.status_code, answer.json["error"]["code"]) == (401, "UNAUTHENTICATED")


def test_health_versions_and_keys_need_no_token(client):
    assert client.simulate_get("/healthcheck").status_code == 200
    assert client.simulate_get("/").json["versions"][0]["id"] == "v1"
    (key,) = client.simulate_get("/v1/jwks").json["keys"]
    assert (key["kty"], key["crv"], key["alg"]) == ("EC", "P-256", "ES256")
    assert "d" not in key


def test_metrics_need_no_token_and_count_the_fleet(client):
    text = client.simulate_get("/metrics").text
    found = {one.name: one for one in text_string_to_metric_families(text)}
    states = {s.labels["state"]: s.value for s in found["e2etrust_hosts"].samples}
    assert states == {"trusted": 0, "untrusted": 0, "held": 0, "unknown": 0}
    assert found["e2etrust_last_verdict_timestamp_seconds"].samples[0].value == 0
